"""The record of each message: what the script writes, how long it stays, what it takes, and how it is found again."""

from __future__ import annotations

import base64
import json
import time

import pytest

from mailer.queue.records import Line, Records, digest_of, note, shard_of
from mailer.queue.search import Whereabouts
from mailer.queue.settlement import Settlement
from mailer.testbed.waiting import until
from tests.support.account import LANES, Account, Worker
from tests.support.clock import Still

MESSAGE_ID = "0f8fad5b-d9cb-469f-a165-00000000000a"
SES_ID = "0100018c7e5b3c4d-3f1d5b1c-1234-5678-9abc-def012345678-000000"


def noted(message_id: str, to: str = "jane@example.com", answer: str = SES_ID, words: str = "") -> str:
    return note(message_id, "bulk", 1_700_000_000_000, 1_700_000_000_500_000, 1, to, answer, words)


@pytest.fixture
def records(account: Account) -> Records:
    return Records(account.client, account.keys)


def send(account: Account, worker: Worker, count: int, to: str = "jane@example.com") -> list[str]:
    """Messages taken and settled as sent, in one call."""
    ids = account.put("bulk", count)
    for tag, message_id in worker.take(count).items():
        worker.leases.settle(tag, Settlement("sent", note=noted(message_id, to)))
    while worker.leases.unsettled:
        worker.take(0)
    return ids


def memory(account: Account) -> int:
    """What Redis takes for all records, by MEMORY USAGE."""
    names = account.client.scan_iter(account.keys.records + "*", count=1000)
    return sum(int(account.client.memory_usage(name, samples=0) or 0) for name in names)


def test_a_sent_message_has_one_line_that_says_it_all(account: Account, worker: Worker, records: Records) -> None:
    before = time.time()
    (message_id,) = send(account, worker, 1)
    (line,) = records.of(message_id)
    assert before - 1 <= line.at <= time.time() + 1
    digest = digest_of("jane@example.com")
    assert line == Line(line.at, "sent", message_id, "bulk", 1_700_000_000.0, 1_700_000_000.5, 1, digest, SES_ID, "")
    assert line.ses_id == SES_ID


@pytest.mark.parametrize("garbage", [b"", b"x", b"1\tsent", b"x\tsent\t%s", b"1\tsent\t%s\tbulk\tx\ty\tz", b"\xff\t%s"])
def test_a_line_that_cannot_be_read_hides_no_other(
    account: Account, worker: Worker, records: Records, garbage: bytes
) -> None:
    (message_id,) = send(account, worker, 1)
    line = garbage.replace(b"%s", message_id.encode() + b"\tjane@example.com " + digest_of("jane@example.com").encode())
    (name,) = [key for key in account.client.scan_iter(account.keys.records + ":*") if account.client.llen(key)]
    account.client.lpush(name, line)
    account.client.rpush(name, line)
    assert [found.verb for found in records.of(message_id)] == ["sent"]
    assert [found.verb for found in records.to("jane@example.com")] == ["sent"]


def test_each_attempt_has_its_line(account: Account, worker: Worker, records: Records) -> None:
    (message_id,) = account.put("bulk", 1)
    (tag,) = worker.take(1)
    worker.settle(tag, "throttled", note=noted(message_id, answer="TooManyRequestsException", words="Slow down."))
    time.sleep(0.01)
    (tag,) = worker.take(1)
    worker.settle(tag, "back")
    (tag,) = worker.take(1)
    worker.settle(tag, "dead", "MessageRejected", "No.", noted(message_id, answer="MessageRejected", words="No."))
    told = [(line.verb, line.code, line.words) for line in records.of(message_id)]
    assert told == [("throttled", "TooManyRequestsException", "Slow down."), ("dead", "MessageRejected", "No.")]


def test_what_the_script_does_by_itself_is_told_too(account: Account, worker: Worker, records: Records) -> None:
    (held,), (lost,) = account.put("bulk", 1), account.put("transactional", 1)
    Worker(account).take(2)
    account.end_leases()
    worker.take(0)
    assert [(line.verb, line.lane, line.code) for line in records.of(held)] == [("hold", "bulk", "LeaseExpired")]
    assert [(line.verb, line.lane) for line in records.of(lost)] == [("lost", "transactional")]


def test_a_dead_letter_without_a_note_is_told_by_the_script(account: Account, worker: Worker, records: Records) -> None:
    account.client.lpush(account.keys.lane("bulk"), '{"id": "a-b"')
    call = worker.leases.call(1)
    (tag,) = worker.leases.answered(call, worker.carry_out(call), 60)
    worker.settle(tag, "dead", "Undecodable", "line one\nline\ttwo")
    (line,) = records.of("a-b")
    assert (line.verb, line.code, line.words) == ("dead", "Undecodable", "line one line two")


def test_without_hours_nothing_is_written(account: Account) -> None:
    worker = Worker(account, record_hours=0)
    send(account, worker, 1)
    account.put("bulk", 1)
    Worker(account, record_hours=0).take(1)
    account.end_leases()
    worker.take(0)
    assert len(account.aside("held")) == 1
    assert list(account.client.scan_iter(account.keys.records + "*")) == []


def test_a_repeated_settlement_shows_once(account: Account, worker: Worker, records: Records) -> None:
    (message_id,) = account.put("bulk", 1)
    (tag,) = worker.take(1)
    worker.leases.settle(tag, Settlement("sent", note=noted(message_id)))
    call = worker.leases.call(0)
    worker.carry_out(call)
    worker.leases.abandon(call)
    worker.take(0)
    assert len(records) == 2
    assert len(records.of(message_id)) == 1


def test_another_script_adds_a_line_by_the_contract(account: Account, worker: Worker, records: Records) -> None:
    send(account, worker, 1)
    keys = account.keys
    script = """
      local segment = redis.call('HMGET', KEYS[1], 'segment', 'ends')
      if not segment[1] then return 0 end
      local list = KEYS[1] .. ':' .. segment[1] .. ':' .. string.sub(redis.sha1hex(ARGV[1]), 1, 1)
      local line = '1700000000000\\trequeue\\t' .. ARGV[1] .. '\\tbulk\\t\\t\\t\\t\\t\\tby hand'
      redis.call('RPUSH', list, line)
      redis.call('PEXPIREAT', list, segment[2])
      return redis.call('HINCRBY', KEYS[1], 'bytes', #line + 8)
    """
    assert account.client.eval(script, 1, keys.records, MESSAGE_ID) > 0
    (line,) = records.of(MESSAGE_ID)
    assert (line.verb, line.attempt, line.taken, line.words) == ("requeue", 0, None, "by hand")
    assert account.client.pttl(keys.records_in(1, shard_of(MESSAGE_ID))) > 0


class TestBounds:
    """Kept for a time, and in so much memory."""

    def test_a_record_of_a_message_sent_at_once_takes_under_200_bytes(self, account: Account, worker: Worker) -> None:
        for _ in range(20):
            send(account, worker, 500)
        assert len(Records(account.client, account.keys)) == 10_000
        assert 100 < memory(account) / 10_000 < 200

    def test_the_bytes_are_bounded_and_the_latest_stay(self, account: Account, records: Records) -> None:
        worker = Worker(account, record_megabytes=1)
        # Fewer in a call than a segment holds.
        for _ in range(80):
            last = send(account, worker, 150)
            assert memory(account) <= 1_000_000
        assert memory(account) > 800_000
        assert all(records.of(message_id) for message_id in last[::50])
        assert 12_000 > len(records) > 4000
        # Nothing is left of what was dropped.
        counted = {name.decode(): value for name, value in account.client.hgetall(account.keys.records).items()}  # type: ignore[union-attr]
        segments = range(int(counted["first"]), int(counted["segment"]))
        assert sorted(int(name) for name in counted if name.isdigit()) == list(segments)
        assert int(counted["total"]) == sum(int(counted[str(segment)].split()[0]) for segment in segments)

    def test_a_segment_is_closed_in_time_and_goes_when_it_is_old(
        self, account: Account, records: Records, still: Still
    ) -> None:
        # Two hours, so segments of a sixth of one.
        worker = Worker(account, record_hours=2)
        (first,) = send(account, worker, 1)
        still.advance(12 * 60)
        (second,) = send(account, worker, 1)
        assert records.of(first)
        assert records.of(second)
        assert account.client.hget(account.keys.records, "segment") == b"2"
        lists = list(account.client.scan_iter(account.keys.records + ":*"))
        left_us = [account.client.pexpiretime(name) * 1000 - still.us for name in lists]
        assert sorted(round(each / 60e6) for each in left_us) == [118, 130]

    def test_what_is_old_goes_without_any_call_of_a_worker(
        self, account: Account, records: Records, still: Still
    ) -> None:
        # By its own clock Redis lets go of lists.
        still.catch_up()
        worker = Worker(account, record_hours=2 / 3600)
        (first,) = send(account, worker, 1)
        still.advance(0.2)
        (second,) = send(account, worker, 1)
        until(lambda: not records.of(first) and not records.of(second), "both are forgotten")
        still.catch_up()
        (third,) = send(account, Worker(account), 1)
        assert records.of(third)
        counted = account.client.hgetall(account.keys.records)
        assert (counted[b"first"], counted[b"segment"], counted[b"total"]) == (b"3", b"3", b"0")


class TestLateNews:
    """A worker that says `sent` when its lease has run out."""

    def test_it_takes_the_message_off_the_held_shelf(self, account: Account, records: Records) -> None:
        slow, worker = Worker(account), Worker(account)
        (message_id,) = account.put("bulk", 1, content=("abc123", b"the body"))
        (tag,) = slow.take(1)
        account.end_leases()
        worker.take(0)
        assert list(account.aside("held")) == [message_id]
        slow.settle(tag, "sent", message_id, note=noted(message_id))
        assert account.whereabouts() == []
        assert account.client.zcard(account.keys.aside_index("held")) == 0
        assert account.queue.content("abc123") is None
        assert [line.verb for line in records.of(message_id)] == ["hold", "sent"]
        assert account.field("spent") == "1"

    def test_it_does_so_where_no_records_are_kept(self, account: Account) -> None:
        slow, worker = (Worker(account, record_hours=0.0) for _ in range(2))
        (message_id,) = account.put("bulk", 1, content=("abc123", b"the body"))
        (tag,) = slow.take(1)
        account.end_leases()
        worker.take(0)
        assert list(account.aside("held")) == [message_id]
        slow.settle(tag, "sent", message_id)
        assert account.whereabouts() == []
        assert account.queue.content("abc123") is None

    def test_it_leaves_a_message_that_was_held_for_another_lease(self, account: Account) -> None:
        slow, worker = Worker(account), Worker(account)
        (message_id,) = account.put("transactional", 1)
        (tag,) = slow.take(1)
        account.end_leases()
        (again,) = worker.take(1)
        worker.settle(again, "hold", "ReadTimeout", "No answer.", noted(message_id, answer="ReadTimeout"))
        slow.settle(tag, "sent", message_id, note=noted(message_id))
        assert list(account.aside("held")) == [message_id]

    def test_what_is_not_sent_for_sure_changes_nothing(self, account: Account, records: Records) -> None:
        slow, worker = Worker(account), Worker(account)
        (message_id,) = account.put("bulk", 1)
        (tag,) = slow.take(1)
        account.end_leases()
        worker.take(0)
        slow.settle(tag, "hold", "ReadTimeout", "No answer.", noted(message_id))
        assert account.aside("held")[message_id]["code"] == "LeaseExpired"
        assert [line.code for line in records.of(message_id)] == ["LeaseExpired"]


class TestFinding:
    """By the recipient, and by the place."""

    @pytest.mark.parametrize(
        "written",
        ["Jane Doe <jane@example.com>", "JANE@EXAMPLE.COM", " jane@example.com ", '"D, J" <jane@Example.com>'],
    )
    def test_an_address_has_one_digest_however_it_is_written(self, written: str) -> None:
        assert digest_of(written) == digest_of("jane@example.com") != digest_of("joan@example.com")

    def test_a_domain_in_letters_of_its_own_is_the_same_in_punycode(self) -> None:
        assert digest_of("a@bücher.example") == digest_of("a@xn--bcher-kva.example")

    def test_the_messages_to_an_address_are_found_in_all_shards(
        self, account: Account, worker: Worker, records: Records
    ) -> None:
        wanted = {*send(account, worker, 40), *send(account, worker, 1, "Jane <JANE@example.com>")}
        send(account, worker, 40, "joan@example.com")
        looked_at: list[int] = []
        assert {line.id for line in records.to("jane@example.com", looked_at.append)} == wanted
        assert sum(looked_at) == 81

    def test_the_record_holds_no_address(self, account: Account, worker: Worker) -> None:
        send(account, worker, 3)
        for name in account.client.scan_iter(account.keys.records + ":*"):
            assert not any(b"@" in line for line in account.client.lrange(name, 0, -1))

    def test_a_message_is_found_wherever_it_is(self, account: Account, worker: Worker) -> None:
        find = Whereabouts(account.client, account.keys, LANES)
        (message_id,) = account.put("bulk", 1, due_in=60)
        found = find.of(message_id)
        assert found is not None
        assert found.place == "scheduled"
        account.make_due()
        worker.take(0)
        account.put("bulk", 600)
        found = find.of(message_id)
        assert found is not None
        assert (found.place, found.lane) == ("waiting", "bulk")
        (tag,) = worker.take(1)
        found = find.of(message_id)
        assert found is not None
        assert found.place == "leased"
        worker.settle(tag, "dead", "MessageRejected", "No.")
        found = find.of(message_id)
        assert found is not None
        assert (found.place, found.code, found.words) == ("dead", "MessageRejected", "No.")
        assert find.of(MESSAGE_ID) is None

    def test_the_recipient_is_read_from_bodies_of_all_kinds(self, account: Account) -> None:
        def envelope(message_id: str, to: str, encoding: str | None) -> str:
            body = json.dumps([[], {"to": to}, {}])
            written = base64.b64encode(body.encode()).decode() if encoding else body
            headers = {"id": message_id, "task": "mailer.send"}
            return json.dumps({"body": written, "headers": headers, "properties": {"body_encoding": encoding}})

        lane = account.keys.lane("bulk")
        for name, to, encoding in (
            ("plain", "Jane <jane@example.com>", None),
            ("base64", "JANE@Example.com", "base64"),
            ("other", "not-jane@example.com", None),
        ):
            account.client.lpush(lane, envelope(name, to, encoding))
        account.client.lpush(lane, b"\xff not JSON jane@example.com")
        find = Whereabouts(account.client, account.keys, LANES)
        assert {found.id for found in find.to("jane@example.com")} == {"plain", "base64"}
        assert {found.masked for found in find.to("jane@example.com")} == {"j***@example.com", "J***@Example.com"}
