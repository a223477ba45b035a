"""Entries that somebody has written over: whoever reads them shows the rest, and what Redis's scripts go by."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from mailer.cli.moments import shown
from mailer.cli.status import screen
from mailer.doctor import queue
from mailer.document import to_json
from mailer.operations.history import histories_to, history_of
from mailer.operations.status import AccountStatus, read_status
from mailer.queue.limits import settings_text
from mailer.queue.records import Records
from mailer.queue.search import Whereabouts
from mailer.queue.shelf import Filter, Shelf
from tests.support.account import LANES, Account, Worker, envelope

JUNK = [b"\xff no entry", b"", b"one line", b"5\n\xff", b'{\n"a":\n1}', b"9" * 5000, b"9" * 5000 + b"\nbulk\n{}"]
SCORES = ["-inf", "-1e300", "0", "1e300", "inf"]
NUMBERS = [b"garbage", b"", b"\xff", b"nan", b"inf", b"1e999", b"9" * 5000, b"-7"]


def whereabouts(account: Account) -> Whereabouts:
    return Whereabouts(account.client, account.keys, LANES)


def scheduled(account: Account) -> Shelf:
    return Shelf(account.queue, "scheduled", LANES)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("junk", JUNK)
def test_in_the_schedule_it_hides_nothing_and_can_be_let_go_of(account: Account, junk: bytes, score: str) -> None:
    (whole,) = account.put("bulk", due_in=3600)
    account.client.zadd(account.keys.schedule, {junk: score})
    shelf = scheduled(account)
    (unread,) = (message for message in shelf if message.id != whole)
    assert (shown(unread.at) != "", json.dumps(unread.readable_name).isascii()) == (True, True)
    assert {each.envelope for each in whereabouts(account).everywhere([""])} == {unread.envelope, envelope(whole)}
    assert junk.endswith(unread.envelope)
    if junk:  # scripts that move messages let go of an empty one
        done = shelf.requeue(Filter())
        assert (done.moved, list(done.refused.values())) == (1, [1])
        assert shelf.get(unread.name) == unread
        assert shelf.drop(unread.name).dropped == 1
    else:
        shelf.drop(Filter())
    assert len(shelf) == 0


def test_in_the_schedule_its_bytes_are_exported(account: Account) -> None:
    account.client.zadd(account.keys.schedule, {b"\xff no entry": 1})
    file = io.StringIO()
    assert scheduled(account).export(file) == 1
    assert json.loads(file.getvalue())["envelope_base64"] == "/yBubyBlbnRyeQ=="


def test_a_number_of_the_schedule_that_is_none_leaves_nothing_behind(account: Account) -> None:
    account.put("bulk", 3, due_in=3600)
    account.client.set(account.keys.schedule_number, b"garbage")
    assert scheduled(account).drop(Filter()).dropped == 3


@pytest.mark.parametrize("junk", JUNK)
def test_among_the_leases_it_hides_nothing(account: Account, worker: Worker, junk: bytes) -> None:
    (whole,) = account.put("bulk")
    worker.take(1)
    account.client.hset(account.keys.leased, "owner:1", junk)
    account.client.zadd(account.keys.leases, {"owner:1": "inf"})
    found = whereabouts(account).of(whole)
    assert found is not None
    assert (found.place, found.lane) == ("leased", "bulk")
    (unread,) = (each for each in whereabouts(account).everywhere([""]) if each.id != whole)
    assert unread.at is None


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("name", [b"junk", b"\xff"])
def test_on_a_shelf_it_hides_nothing_and_can_be_let_go_of(
    account: Account, worker: Worker, name: bytes, score: str
) -> None:
    (whole,) = account.put("bulk")
    (tag,) = worker.take(1)
    worker.settle(tag, "dead", "Rejected", "No.")
    account.client.hset(account.keys.aside("dead"), name, b"\xff")
    account.client.zadd(account.keys.aside_index("dead"), {name: score})
    dead = Shelf(account.queue, "dead", LANES)
    assert {each.id for each in dead.messages(latest_first=True)} == {each.id for each in dead} == {"", whole}
    assert len([shown(each.at) for each in dead]) == dead.count() == 2
    done = dead.requeue(Filter(), first=True)
    assert (done.moved, list(done.refused.values())) == (1, [1])
    assert dead.drop(Filter()).dropped == 1
    assert len(dead) == 0


@pytest.mark.parametrize("field", ["first", "segment"])
@pytest.mark.parametrize("number", NUMBERS)
def test_a_segment_of_the_records_that_is_no_number_hides_no_message(
    account: Account, worker: Worker, field: str, number: bytes
) -> None:
    (whole,) = account.put("bulk")
    (tag,) = worker.take(1)
    worker.settle(tag, "sent", "ses-id", note=f"{whole}\tbulk\t\t\t1\t\tses-id\t")
    waiting, *_ = account.put("bulk")
    account.client.hset(account.keys.records, field, number)
    assert len(Records(account.client, account.keys)) in (0, 1)
    assert histories_to(account.client, account.settings, "jane@example.com") == []
    found = history_of(account.client, account.settings, waiting)
    assert found is not None
    assert found.state == "waiting"


def status_of(account: Account) -> AccountStatus:
    """As it is printed: to a person, as JSON, and by the doctor."""
    status = read_status(account.client, account.settings)
    screen(status)
    json.dumps(to_json(status), allow_nan=False)
    assert [*queue.state(status), *queue.limits(status, account.settings)]
    return status


FIELDS = [
    "rate",
    "headroom",
    "set_rate",
    "set_wanted",
    "set_until",
    "set_at",
    "cut",
    "cut_at",
    "quota",
    "reserve",
    "others",
    "limits_at",
    "ses_rate",
    "patient",
    "probe_at",
    "probe_wait",
    "stopped_at",
    "paused_until",
    "paused_until:bulk",
    "ses_allows",
]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("begun", [{}, {"stopped": "No."}, {"paused": "a", "paused:bulk": "b"}, {"set_rate": "7"}])
def test_a_number_of_the_account_that_is_none_ends_no_status(
    account: Account, number: bytes, begun: dict[str, str]
) -> None:
    account.put("bulk", 3)
    stored: dict[Any, Any] = {**account.client.hgetall(account.keys.account), **begun}
    for field in FIELDS:
        account.client.delete(account.keys.account)
        account.client.hset(account.keys.account, mapping={**stored, field: number})
        status_of(account)
    account.client.hset(account.keys.account, b"\xff", number)
    status_of(account)


def test_it_shows_what_the_scripts_go_by(account: Account) -> None:
    account.allow(rate=100, quota=1000)
    account.client.hset(
        account.keys.account,
        mapping=dict.fromkeys(("headroom", "cut", "reserve", "others", "set_rate", "set_until"), b"garbage"),
    )
    status = status_of(account)
    assert (status.rate.allowed_per_second, status.rate.person) == (100, None)
    assert (status.quota.left, status.quota.reserve) == (1000, 0)
    account.client.hset(account.keys.account, mapping={"rate": b"garbage", "quota": b"garbage"})
    assert (status_of(account).state, status_of(account).quota.per_day) == ("unknown", None)


@pytest.mark.parametrize("number", NUMBERS[:-1])
def test_a_minute_of_the_quota_that_is_none_is_not_counted(account: Account, number: bytes) -> None:
    account.allow(rate=100, quota=1000)
    minute = account.now_us() // 60_000_000
    account.client.hset(account.keys.quota, mapping={str(minute): "3", str(minute - 1): number})
    account.client.hset(account.keys.quota, number, "5")
    assert status_of(account).quota.by_mailer == 3


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("said", [b"[", b"[" * 100_000, b"7", b"{}"])
def test_what_a_host_says_may_be_garbage(account: Account, number: bytes, said: bytes) -> None:
    account.client.hset(account.keys.wishes, b"\xff:1", number + b" " + said)
    account.client.hset(account.keys.wishes, "b:2", f"{account.now_us()} {settings_text(account.settings)}")
    account.client.hset(account.keys.hosts, b"\xff@b", number + b" " + number + b" why")
    status = status_of(account)
    assert ([each.host for each in status.settings if each.host], status.hosts) == (["b"], ())


@pytest.mark.parametrize("score", SCORES)
def test_a_moment_of_the_schedule_that_cannot_be_ends_no_status(account: Account, score: str) -> None:
    account.client.zadd(account.keys.schedule, {"junk": score})
    assert status_of(account).scheduled == 1


def test_a_number_of_the_schedule_below_zero_costs_no_mail(account: Account) -> None:
    account.client.set(account.keys.schedule_number, -100_000)
    account.put("bulk", 3, due_in=3600)
    assert int(account.client.get(account.keys.schedule_number) or 0) > 0
    account.client.zadd(account.keys.schedule, {b"-00000000099999\nbulk\n" + envelope("old"): 1})
    assert {each.id for each in scheduled(account)} > {"old"}
    assert list(Worker(account).take(10).values()) == ["old"]


def test_a_count_of_references_at_its_end_refuses_no_mail(account: Account) -> None:
    account.client.hset(account.keys.references, "a" * 32, 2**63 - 1)
    account.put("bulk", content=("a" * 32, b"{}"))


def test_a_hash_that_is_none_breaks_off_no_export(account: Account) -> None:
    for name in ("first", "second"):
        broken = envelope(name).replace(b'"retries"', b'"mailer_content":"\\ud800","retries"')
        account.client.hset(account.keys.aside("dead"), name, b'{"lane":"bulk"}\n' + broken)
        account.client.zadd(account.keys.aside_index("dead"), {name: 1})
    assert Shelf(account.queue, "dead", LANES).export(io.StringIO()) == 2
