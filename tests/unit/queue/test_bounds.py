"""What is too large, or has an id that is none: it costs the others nothing, and a person can see and clear it away."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from celery import Celery

from mailer.errors import InvalidMessage
from mailer.operations.status import read_status
from mailer.queue.keys import LOWER_PRIORITIES, PRIORITY_SEPARATOR
from mailer.queue.move import purge
from mailer.queue.records import Records
from mailer.queue.search import Whereabouts
from mailer.queue.shelf import Filter, Shelf
from mailer.worker.app import configuration
from tests.support.account import LANES, SENT, Account, Worker
from tests.support.clock import Still

MB = 1_000_000


def envelope(name: str, size: int = 0, **headers: Any) -> bytes:
    """Of about so many bytes."""
    body = json.dumps([[], {"to": "jane@example.com", "text": "x" * size}, {}])
    known = {"task": "mailer.send", "id": name, **headers}
    return json.dumps({"body": body, "headers": known, "properties": {"delivery_info": {}}}).encode()


def push(account: Account, *envelopes: bytes, lane: str = "bulk") -> None:
    for each in envelopes:
        account.client.lpush(account.keys.lane(lane), each)


def take_all(worker: Worker, most: int = 32) -> list[str]:
    """The ids of what is handed out, until nothing more is."""
    return list(take_tags(worker, most).values())


def take_tags(worker: Worker, most: int = 32) -> dict[str, str]:
    """The same, by the tags."""
    found: dict[str, str] = {}
    for _ in range(100):
        taken = worker.take(most)
        found |= taken
        assert worker.answer is not None
        if not taken and worker.answer.wait_seconds != pytest.approx(1e-6):
            break
    return found


@pytest.fixture
def dead(account: Account) -> Shelf:
    return Shelf(account.queue, "dead", LANES)


def test_a_message_that_is_too_large_is_a_dead_letter_that_no_worker_is_given(
    account: Account, worker: Worker, dead: Shelf
) -> None:
    large = envelope("large", 11 * MB)
    push(account, envelope("before"), large, envelope("behind"))
    assert take_all(worker) == ["before", "behind"]
    (letter,) = dead
    assert (letter.name, letter.lane, letter.code) == ("large", "bulk", "TooLarge")
    assert "11.0 MB" in letter.detail
    file = io.StringIO()
    dead.export(file)
    assert json.loads(file.getvalue())["envelope"].encode() == large
    assert dead.requeue("large").refused
    assert [line.verb for line in Records(account.client, account.keys).of("large")] == ["dead"]
    assert dead.drop("large").dropped == 1


def test_of_what_has_more_than_16_mib_only_the_beginning_is_kept(account: Account, worker: Worker, dead: Shelf) -> None:
    push(account, envelope("huge", 17 * MB), envelope("behind"))
    assert take_all(worker) == ["behind"]
    (letter,) = dead
    assert "Only its beginning is kept" in letter.detail
    assert len(letter.envelope) < 5000
    assert dead.drop(letter.name).dropped == 1


def test_small_messages_pass_large_ones_which_are_handed_out_one_by_one(
    still: Still, account: Account, worker: Worker
) -> None:
    push(account, *(envelope(f"six-{number}", 6 * MB) for number in range(4)), envelope("small"))
    assert take_all(worker) == ["small", "six-0"]
    assert worker.answer is not None
    assert (worker.answer.is_short, worker.answer.listen) == (False, True)
    assert worker.answer.wait_seconds is not None
    still.advance(worker.answer.wait_seconds - 0.01)
    assert take_all(worker) == []
    still.advance(0.02)
    assert take_all(worker) == ["six-1"]
    assert account.length("bulk") == 2


def test_a_worker_is_handed_no_more_bytes_than_it_may_hold(still: Still, account: Account, worker: Worker) -> None:
    push(account, *(envelope(f"six-{number}", 6 * MB) for number in range(4)))
    large: dict[str, str] = {}
    for _ in range(4):
        large |= take_tags(worker)
        still.advance(1)
    assert list(large.values()) == ["six-0", "six-1"]
    assert worker.answer is not None
    assert (worker.answer.is_short, worker.answer.listen) == (True, True)
    push(account, envelope("urgent"), lane="transactional")
    assert take_all(worker) == ["urgent"]
    had_room = worker.leases.makes_room
    assert not had_room
    assert list(take_tags(Worker(account)).values()) == ["six-2"]
    for tag in large:
        worker.leases.settle(tag, SENT)
    assert worker.leases.makes_room
    still.advance(1)
    assert take_all(worker) == ["six-3"]


def test_large_messages_that_were_passed_are_seen_and_let_go_of(still: Still, account: Account, worker: Worker) -> None:
    push(account, *(envelope(f"six-{number}", 6 * MB) for number in range(3)))
    assert take_all(worker) == ["six-0"]
    assert account.client.llen(account.keys.large("bulk")) == 2
    assert [lane.waiting for lane in read_status(account.client, account.settings).lanes] == [0, 2]
    found = Whereabouts(account.client, account.keys, LANES).of("six-2")
    assert found is not None
    assert (found.place, found.lane) == ("waiting", "bulk")
    assert purge(account.client, account.keys, "bulk") == 2


def test_a_large_message_that_comes_back_is_the_next_of_its_kind(
    still: Still, account: Account, worker: Worker
) -> None:
    push(account, *(envelope(f"six-{number}", 6 * MB) for number in range(2)))
    ((tag, name),) = take_tags(worker).items()
    worker.settle(tag, "back")
    still.advance(1)
    assert take_all(worker) == [name]


def test_large_messages_have_their_turn_beside_small_ones(still: Still, account: Account, worker: Worker) -> None:
    push(account, envelope("large", MB), *(envelope(f"{number}") for number in range(6)))
    found: list[str] = []
    for _ in range(4):
        found += worker.take(1).values()
        still.advance(1)
    assert "large" in found
    assert len(found) >= 3


def test_where_large_ones_cannot_lie_small_ones_go_out_all_the_same(account: Account, worker: Worker) -> None:
    account.client.set(account.keys.large("bulk"), "somebody else's")
    push(account, envelope("one"), envelope("large", MB), envelope("behind"))
    push(account, envelope("urgent"), lane="transactional")
    assert take_all(worker) == ["urgent", "one"]
    assert worker.answer is not None
    assert worker.answer.stopped.count("lane bulk is refused") == 1
    assert worker.answer.wait_seconds == 1.0
    account.client.delete(account.keys.large("bulk"))
    assert sorted(take_all(worker)) == ["behind", "large"]


@pytest.mark.parametrize("first", ["body", "headers", "properties"])
def test_what_a_large_message_refers_to_is_found_wherever_its_headers_stand(
    account: Account, worker: Worker, first: str
) -> None:
    content = "c" * 64
    account.client.hset(account.keys.content, content, b"shared")
    account.client.hset(account.keys.references, content, 1)
    message = json.loads(envelope("large", MB, mailer_content=content))
    push(account, json.dumps({first: message[first], **message}).encode())
    for tag in take_tags(worker):
        worker.settle(tag, "sent", "large")
    assert not account.client.exists(account.keys.content, account.keys.references)


def test_what_is_not_looked_at_because_of_its_bytes_is_asked_for_at_once(account: Account, worker: Worker) -> None:
    push(account, *(envelope(f"{number}", MB // 5) for number in range(100)))
    assert 0 < len(worker.take(100)) < 100
    assert worker.answer is not None
    assert worker.answer.wait_seconds == pytest.approx(1e-6)
    assert not worker.answer.is_short
    assert len(worker.take(100)) > 0


def test_one_that_alone_has_more_is_handed_out_alone(account: Account, worker: Worker) -> None:
    content = "c" * 64
    account.client.hset(account.keys.content, content, b"x" * 20 * MB)
    push(account, *(envelope(name, mailer_content=content) for name in "ab"))
    (tag,) = worker.take(32)
    assert worker.take(32) == {}
    worker.settle(tag, "back")
    assert len(worker.take(32)) == 1


def test_a_content_that_ses_never_takes_is_not_fetched(account: Account, worker: Worker, dead: Shelf) -> None:
    content = "c" * 64
    account.client.hset(account.keys.content, content, b"x" * 70 * MB)
    push(account, envelope("refers", mailer_content=content), envelope("behind"))
    assert take_all(worker) == ["behind"]
    assert [letter.code for letter in dead] == ["TooLarge"]


def test_a_campaign_whose_content_ses_never_takes_is_refused_bit_by_bit(account: Account, worker: Worker) -> None:
    content = "c" * 64
    account.client.hset(account.keys.content, content, b"x" * 70 * MB)
    push(account, *(envelope(f"{number}", mailer_content=content) for number in range(200)), envelope("behind"))
    worker.take(32)
    assert 0 < account.client.hlen(account.keys.aside("dead")) < 200
    assert take_all(worker) == ["behind"]


BAD_IDS = ["", "x" * 129, "x" * 6 * MB, "two words", "two\nlines", "umläut", 7, None, ["a"]]


@pytest.mark.parametrize("bad", BAD_IDS, ids=lambda bad: f"{bad!r:.9}")
def test_an_id_that_is_none_names_no_dead_letter_and_no_record(
    account: Account, worker: Worker, dead: Shelf, bad: Any
) -> None:
    push(account, envelope(bad))
    # A large one is taken out of the others' way first.
    (tag,) = worker.take_raw(1) or worker.take_raw(1)
    worker.settle(tag, "dead", "Undecodable", "header id")
    (letter,) = dead
    assert (len(letter.name), letter.name.isalnum()) == (40, True)
    assert [line.verb for line in Records(account.client, account.keys).of(letter.name)] == ["dead"]
    assert dead.drop(Filter()).dropped == 1


def test_long_ids_put_no_record_out(still: Still, account: Account, worker: Worker) -> None:
    (ours,) = account.put("bulk")
    (tag,) = worker.take(1)
    worker.settle(tag, "sent", note=f"{ours}\tbulk\t\t\t1\t\tses-id\t")
    push(account, *(envelope("x" * 6 * MB + str(number)) for number in range(16)))
    for _ in range(40):
        for tag in worker.take_raw(16):
            worker.settle(tag, "dead", "Undecodable", "header id")
        still.advance(0.5)
    assert account.client.hlen(account.keys.aside("dead")) == 16
    assert [line.verb for line in Records(account.client, account.keys).of(ours)] == ["sent"]
    lines = sum(account.client.memory_usage(key) or 0 for key in account.client.scan_iter(f"{account.keys.records}:*"))
    assert lines < 20_000


def test_no_note_makes_a_record_of_more_than_2_kb(account: Account, worker: Worker) -> None:
    account.put("bulk")
    (tag,) = worker.take(1)
    worker.settle(tag, "sent", note="id\t" + "x" * MB)
    (key,) = account.client.scan_iter(f"{account.keys.records}:*")
    assert [len(line) < 2200 for line in account.raw(key.decode())] == [True]


@pytest.mark.parametrize("place", ["schedule", "low"])
def test_what_comes_from_elsewhere_is_moved_bit_by_bit(account: Account, worker: Worker, place: str) -> None:
    large = [envelope(f"six-{number}", 6 * MB) for number in range(6)]
    if place == "low":
        low = f"{account.keys.lane('bulk')}{PRIORITY_SEPARATOR}{LOWER_PRIORITIES[0]}"
        account.client.lpush(low, *large)
    else:
        for number, each in enumerate(large):
            account.client.zadd(account.keys.schedule, {b"%d\nbulk\n" % number + each: number})
    worker.take(0)
    assert 0 < account.length("bulk") < 6
    for _ in range(6):
        worker.take(0)
    assert account.length("bulk") == 6


def test_a_lane_of_the_schedule_that_is_none_is_no_name_of_a_key(account: Account, worker: Worker, dead: Shelf) -> None:
    account.client.zadd(account.keys.schedule, {b"1\n" + b"l" * MB + b"\n" + envelope("a"): 1})
    worker.take(0)
    assert [letter.code for letter in dead] == ["Undecodable"]


@pytest.fixture
def lies(account: Account) -> Account:
    """Large messages lie in every place."""
    large = [envelope(f"{number}", 12 * MB) for number in range(3)]
    push(account, *large)
    reason = json.dumps({"lane": "bulk", "at_us": "5", "code": "TooLarge", "detail": "", "tag": "t"}).encode()
    for number, each in enumerate(large):
        account.client.hset(account.keys.aside("dead"), f"dead-{number}", reason + b"\n" + each)
        account.client.zadd(account.keys.aside_index("dead"), {f"dead-{number}": number})
    return account


def test_a_person_looks_through_large_messages_piece_by_piece(lies: Account, dead: Shelf) -> None:
    assert all(len(letter.envelope) < 5000 for letter in dead)
    assert [letter.name for letter in dead.messages(latest_first=True)] == ["dead-2", "dead-1", "dead-0"]
    found = Whereabouts(lies.client, lies.keys, LANES)
    assert sorted(each.id for each in found.everywhere([""]))[-3:] == ["dead-0", "dead-1", "dead-2"]
    assert dead.get("dead-1").name == "dead-1"
    assert dead.drop("dead-1").dropped == 1
    assert dead.drop(Filter()).dropped == 2
    assert purge(lies.client, lies.keys, "bulk") == 3


def test_what_celery_itself_is_to_enqueue_is_refused_where_it_is_passed(account: Account) -> None:
    with Celery("operator", set_as_current=False) as app:
        app.conf.update(configuration(account.settings))
        with pytest.raises(InvalidMessage, match=r"message: has 11\.0 MB, and may have 10 MiB"):
            app.send_task("mailer.send", kwargs={"text": "x" * 11 * MB}, queue="bulk")
    assert account.length("bulk") == 0
