"""Shelves and the schedule: looked into, requeued, dropped and exported; nothing lost, nothing doubled."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mailer.errors import InvalidRequest, NotFound
from mailer.queue.layout import digest_of
from mailer.queue.queue import Entry
from mailer.queue.search import Whereabouts
from mailer.queue.shelf import Filter, Shelf, ShelfName
from mailer.queue.shelved import MAX_HISTORY
from tests.support.account import LANES, Account, Worker, envelope

NO = ("MessageRejected", "Email address is not verified: jane@example.com")


def shelf(account: Account, name: ShelfName = "dead") -> Shelf:
    return Shelf(account.queue, name, LANES)


def set_aside(worker: Worker, count: int, verb: str = "dead", words: tuple[str, str] = NO) -> list[str]:
    """Take so many and set them aside; their ids, first to last."""
    taken = worker.take(count)
    for tag in taken:
        worker.settle_later(tag, verb, *words)
    worker.flush()
    return list(taken.values())


def lane_of(account: Account, lane: str) -> list[dict[str, Any]]:
    """The headers of what waits there, the next to be taken first."""
    return [json.loads(raw)["headers"] for raw in reversed(account.client.lrange(account.keys.lane(lane), 0, -1))]


def mail_to(account: Account, to: str, **headers: object) -> str:
    message_id = "to-" + "".join(each for each in to if each.isascii() and each.isalnum())
    written = json.loads(envelope(message_id))
    written["body"] = json.dumps([[], {"to": to, "sender": "a@example.com", "subject": "Hi", "text": "."}, {}])
    written["headers"] |= headers
    account.queue.put("bulk", [Entry(message_id, json.dumps(written).encode())])
    return message_id


class TestRequeue:
    def test_it_goes_to_the_tail_in_its_order(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 3)
        ids = [set_aside(worker, 1)[0] for _ in range(3)]
        waiting = account.put("bulk", 2)
        assert shelf(account).requeue(Filter()).moved == 3
        assert [headers["id"] for headers in lane_of(account, "bulk")] == [*waiting, *ids]

    def test_first_goes_to_the_head_in_its_order(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 1200)
        set_aside(worker, 1200)
        ids = [message.id for message in shelf(account)]
        waiting = account.put("bulk", 2)
        assert shelf(account).requeue(Filter(), first=True).moved == 1200
        assert [headers["id"] for headers in lane_of(account, "bulk")] == [*ids, *waiting]

    def test_named_ones_go_in_the_order_of_the_names(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 3)
        one, two, three = set_aside(worker, 3)
        done = shelf(account).requeue([three, "unheard-of", one], first=True)
        assert (done.moved, done.missing) == (2, ["unheard-of"])
        assert [headers["id"] for headers in lane_of(account, "bulk")] == [three, one]
        assert [message.name for message in shelf(account)] == [two]

    def test_it_is_tried_anew_and_all_reasons_show(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 1)
        (tag,) = worker.take(1)
        worker.settle(tag, "retry", 0, envelope("mine", retries=7).decode())
        for turn in range(MAX_HISTORY + 2):
            set_aside(worker, 1, words=("Refused", f"No. {turn}"))
            (message,) = shelf(account)
            assert message.attempts == (8 if turn == 0 else 1)
            assert [each.detail for each in message.history] == [f"No. {i}" for i in range(turn)][-MAX_HISTORY:]
            assert shelf(account).requeue("mine").moved == 1
            assert lane_of(account, "bulk")[0]["retries"] == 0

    def test_it_wakes_a_worker(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 1)
        set_aside(worker, 1)
        account.client.delete(account.keys.doorbell("bulk"))
        shelf(account).requeue(Filter())
        assert account.client.llen(account.keys.doorbell("bulk")) == 1

    def test_what_has_expired_needs_a_new_expiry(self, account: Account, worker: Worker) -> None:
        past, coming = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1)
        mail_to(account, "late@example.com", expires=past.isoformat())
        mail_to(account, "soon@example.com", expires=coming.isoformat())
        set_aside(worker, 2)
        done = shelf(account).requeue(Filter())
        assert (done.moved, list(done.refused.values())) == (1, [1])
        assert "expires_at" in next(iter(done.refused))
        later = datetime.now(UTC) + timedelta(days=1)
        assert shelf(account).requeue(Filter(), expires_at=later).moved == 1
        assert [headers["expires"] for headers in lane_of(account, "bulk")] == [coming.isoformat(), later.isoformat()]
        with pytest.raises(InvalidRequest, match="expires_at"):
            shelf(account).requeue(Filter(), expires_at=past)

    def test_what_cannot_be_read_stays(self, account: Account, worker: Worker) -> None:
        account.client.lpush(account.keys.lane("bulk"), b"\xff no JSON")
        (tag,) = worker.take_raw(1)
        worker.settle(tag, "dead", "Undecodable", "No JSON")
        done = shelf(account).requeue(Filter())
        assert (done.moved, sum(done.refused.values()), len(shelf(account))) == (0, 1, 1)

    def test_a_lane_that_is_none_any_more_needs_another(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 1)
        set_aside(worker, 1)
        fewer = Shelf(account.queue, "dead", LANES[:1])
        assert list(fewer.requeue(Filter()).refused.values()) == [1]
        assert fewer.requeue(Filter(), lane="transactional").moved == 1
        assert account.length("transactional") == 1
        with pytest.raises(InvalidRequest, match="transactional"):
            fewer.requeue(Filter(), lane="bulk")

    def test_a_scheduled_one_is_due_at_once(self, account: Account, worker: Worker) -> None:
        eta = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        entry = Entry("later", envelope("later", eta=eta), int((datetime.now(UTC).timestamp() + 3600) * 1e6))
        account.queue.put("bulk", [entry])
        account.put("bulk", 1, due_in=60)
        assert shelf(account, "scheduled").get("later").lane == "bulk"
        assert shelf(account, "scheduled").requeue("later").moved == 1
        assert [(headers["id"], headers["eta"]) for headers in lane_of(account, "bulk")] == [("later", None)]
        assert len(shelf(account, "scheduled")) == 1

    def test_what_fails_again_meanwhile_is_left_alone(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 1200)
        set_aside(worker, 1200)

        def fail_again(_done: int) -> None:
            set_aside(worker, 1200)

        assert shelf(account).requeue(Filter(), progress=fail_again).moved == 1200
        assert len(shelf(account)) == 1200

    def test_two_at_once_move_each_message_once(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 3000)
        ids = set_aside(worker, 3000)
        moved: list[int] = []
        people = [
            threading.Thread(target=lambda: moved.append(shelf(account).requeue(Filter()).moved)) for _ in range(3)
        ]
        for person in people:
            person.start()
        for person in people:
            person.join()
        assert sum(moved) == 3000
        assert sorted(headers["id"] for headers in lane_of(account, "bulk")) == sorted(ids)

    def test_another_that_took_its_place_is_not_moved_for_it(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 1)
        (message_id,) = set_aside(worker, 1)
        place = shelf(account)
        seen = place.get(message_id)
        place.requeue(message_id)
        set_aside(worker, 1)
        moves = [place._one(seen, "bulk", seen.envelope)]
        assert (place._move("tail", moves, lane="bulk"), place._move("drop", moves)) == (0, 0)
        assert (len(place), account.length("bulk")) == (1, 0)

    def test_what_comes_due_meanwhile_is_taken_once(self, account: Account, worker: Worker) -> None:
        ids = account.put("bulk", 3000, due_in=0.2)
        taken: list[str] = []
        done = threading.Event()

        def work() -> None:
            while not done.is_set() or account.length("bulk") or len(shelf(account, "scheduled")):
                for tag, message_id in worker.take(100).items():
                    taken.append(message_id)
                    worker.settle_later(tag, "sent")

        working = threading.Thread(target=work)
        working.start()
        shelf(account, "scheduled").requeue(Filter())
        done.set()
        working.join()
        assert sorted(taken) == sorted(ids)


class TestTwoWithOneId:
    def test_neither_is_lost(self, account: Account, worker: Worker) -> None:
        for _ in range(3):
            account.queue.put("bulk", [Entry("twin", envelope("twin"))])
        set_aside(worker, 3)
        names = [message.name for message in shelf(account)]
        assert (len(names), len(set(names)), account.whereabouts()) == (3, 3, ["twin"] * 3)
        assert all(shelf(account).get(name).id == "twin" for name in names)
        assert shelf(account).requeue(names).moved == 3
        assert account.whereabouts() == ["twin"] * 3

    def test_in_the_schedule_an_id_stands_for_both(self, account: Account) -> None:
        for _ in range(2):
            account.queue.put("bulk", [Entry("twin", envelope("twin"), 2**52)])
        assert shelf(account, "scheduled").drop("twin").dropped == 2


class TestDrop:
    @pytest.mark.parametrize("name", ["dead", "held", "scheduled"])
    def test_content_goes_with_the_last_that_refers_to_it(
        self, account: Account, worker: Worker, name: ShelfName
    ) -> None:
        account.put("bulk", 3, content=("abc123", b"the body"), due_in=60 if name == "scheduled" else 0)
        if name != "scheduled":
            set_aside(worker, 3, "dead" if name == "dead" else "hold")
        place = shelf(account, name)
        one, *others = (message.name for message in place)
        assert place.drop([one, one, "unheard-of"]).missing == ["unheard-of"]
        assert account.queue.content("abc123") == b"the body"
        assert place.requeue(others[0]).moved == 1
        assert account.queue.content("abc123") == b"the body"
        assert place.drop(Filter()).dropped == 1
        assert account.client.hgetall(account.keys.references) == {b"abc123": b"1"}
        (tag,) = worker.take(1)
        worker.settle(tag, "sent")
        assert account.queue.content("abc123") is None

    def test_sent_is_the_verdict_on_held_mail_alone(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 1)
        (message_id,) = set_aside(worker, 1, "hold", ("ReadTimeout", "No answer"))
        spent = account.field("spent")
        with pytest.raises(InvalidRequest, match="held"):
            shelf(account, "dead").sent(message_id)
        assert shelf(account, "held").sent(message_id).dropped == 1
        assert (len(shelf(account, "held")), account.field("spent")) == (0, spent)


class TestLooking:
    @pytest.fixture
    def many(self, account: Account, worker: Worker) -> list[str]:
        account.put("bulk", 2600)
        return set_aside(worker, 2600)

    def test_pages_go_on_where_they_were_in_both_directions(self, account: Account, many: list[str]) -> None:
        # Several settlements share a call, and so a moment; among them the name decides.
        order = [message.name for message in shelf(account)]
        assert sorted(order) == sorted(many)
        assert [message.name for message in shelf(account).messages(latest_first=True)] == order[::-1]

    def test_taking_away_what_was_seen_hides_nothing(self, account: Account, many: list[str]) -> None:
        seen = []
        for number, message in enumerate(shelf(account)):
            seen.append(message.name)
            if number % 3:
                shelf(account).drop(message.name)
        assert sorted(seen) == sorted(many)

    def test_a_million_due_at_one_moment_are_paged_too(self, account: Account) -> None:
        entries = [Entry(f"{i}", envelope(f"{i}"), 2**52) for i in range(1700)]
        account.queue.put("bulk", entries)
        seen = []
        for message in shelf(account, "scheduled"):
            seen.append(message.name)
            if message.name.endswith("7"):
                shelf(account, "scheduled").drop(message.name)
        assert seen == [f"{i}" for i in range(1700)]

    def test_pages_of_large_messages_are_short(self, account: Account) -> None:
        body = "x" * 400_000
        account.client.zadd(
            account.keys.schedule,
            {
                f"{i:015d}\nbulk\n" + json.dumps({"body": body, "headers": {"id": f"{i}"}, "properties": {}}): 2**52
                for i in range(40)
            },
        )
        assert [message.name for message in shelf(account, "scheduled")] == [f"{i}" for i in range(40)]
        assert len(next(shelf(account, "scheduled")._batches(Filter()))) < 40

    def test_filters(self, account: Account, worker: Worker) -> None:
        def found(**wanted: Any) -> set[str]:
            names = {message.name for message in shelf(account).messages(Filter(**wanted))}
            assert shelf(account).count(Filter(**wanted)) == len(names)
            return names

        jane = mail_to(account, "Jane <jane@Example.com>")
        set_aside(worker, 1)
        seconds, micros = account.client.time()
        between = datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=micros)
        (urgent,) = account.put("transactional", 1)
        set_aside(worker, 1, words=("RefusedByCelery", "The log says why"))
        assert found() == {jane, urgent}
        assert found(lane="bulk") == found(code="messagerejected") == found(text="NOT VERIFIED") == {jane}
        assert found(to="jane@example.com") == found(to="@example.com") == {jane}
        assert found(to="@ample.com") == found(to="ane@example.com") == set()
        assert found(before=between) == {jane}
        assert found(after=between) == {urgent}
        assert found(after=between, lane="bulk") == set()

    def test_what_the_schedule_cannot_do_is_said(self, account: Account) -> None:
        with pytest.raises(InvalidRequest, match="no reason"):
            shelf(account, "scheduled").count(Filter(code="MessageRejected"))
        with pytest.raises(InvalidRequest, match="time zone"):
            Filter(before=datetime(2030, 1, 1))  # noqa: DTZ001
        with pytest.raises(NotFound, match="scheduled"):
            shelf(account, "scheduled").get("unheard-of")

    def test_an_export_has_every_byte(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 2, content=("abc123" * 5 + "ab", b"\xffbody"))
        ids = set_aside(worker, 2)
        account.client.lpush(account.keys.lane("bulk"), b"\xff no JSON")
        (tag,) = worker.take_raw(1)
        worker.settle(tag, "dead", "Undecodable", "No JSON")
        file = io.StringIO()
        assert shelf(account).export(file) == 3
        content, *lines = (json.loads(line) for line in file.getvalue().splitlines())
        assert content == {"content": "abc123" * 5 + "ab", "base64": "/2JvZHk="}
        assert {line["name"] for line in lines} == {*ids, digest_of(b"\xff no JSON")}
        assert {line.get("envelope_base64") for line in lines} == {None, "/yBubyBKU09O"}
        assert all(line["at"] and line["lane"] == "bulk" for line in lines)
        with pytest.raises(NotFound, match="unheard-of"):
            shelf(account).export(file, "unheard-of")


def test_what_a_person_does_is_in_the_record(account: Account, worker: Worker) -> None:
    account.put("bulk", 2)
    ids = set_aside(worker, 2)
    shelf(account).requeue(ids[0])
    shelf(account).drop(ids[1])
    set_aside(worker, 1, "hold")
    shelf(account, "held").sent(ids[0])
    lines = {(verb, message_id) for _, verb, message_id, *_ in _records(account)}
    assert lines >= {("requeue", ids[0]), ("drop", ids[1]), ("sent", ids[0])}
    assert all(len(line) == 10 and line[3] == "bulk" for line in _records(account))


def _records(account: Account) -> Iterator[list[str]]:
    for shard in "0123456789abcdef":
        for line in account.raw(account.keys.records_in(1, shard)):
            yield line.decode().split("\t")


def test_a_hand_written_entry_in_the_schedule_is_listed_found_and_dropped(account: Account) -> None:
    (later,) = account.put("bulk", 1, due_in=60)
    account.client.zadd(account.keys.schedule, {"not what it was": account.now_us() + 10**9, "7\nhere": 0})
    account.client.hset(account.keys.leased, "tag", "not what it was")
    scheduled = shelf(account, "scheduled")
    assert [message.name for message in scheduled] == ["7\nhere", later, "not what it was"]
    assert Whereabouts(account.client, account.keys, LANES).of("what") is None
    assert scheduled.requeue(Filter()).moved == 1
    assert scheduled.drop(["7\nhere", "not what it was"]).dropped == 2
    assert len(scheduled) == 0
