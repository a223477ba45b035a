"""Envelopes that are not as they should be: the search and the shelves read the same out of them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from mailer.queue.records import Line, note
from mailer.queue.search import Found, Whereabouts
from mailer.queue.shelf import Filter, Shelf
from mailer.queue.shelved import Shelved
from tests.support.account import LANES, Account, Worker

JANE = "Jane <jane@example.com>"
DEEP = "[" * 100_000


def envelope(without: str = "", **members: object) -> str:
    body = json.dumps([[], {"to": JANE}, {}])
    headers = {"id": "mine", "task": "mailer.send", "mailer_accepted": 1_700_000_000_000}
    whole: dict[str, Any] = {"body": body, "headers": headers, "properties": {}} | members
    return json.dumps({name: value for name, value in whole.items() if name != without})


def with_headers(**headers: object) -> str:
    return envelope(headers={"id": "mine", "task": "mailer.send"} | headers)


def with_body(body: str) -> str:
    return envelope(body=body)


def waiting(account: Account, stored: str | bytes) -> Found:
    """The message, as the search finds it in its lane."""
    account.client.lpush(account.keys.lane("bulk"), stored)
    (found,) = Whereabouts(account.client, account.keys, LANES).everywhere([""])
    return found


def dead(account: Account, worker: Worker, stored: str | bytes) -> Shelved:
    """The message, as it lies among the dead letters."""
    account.client.lpush(account.keys.lane("bulk"), stored)
    (tag,) = worker.take_raw(1)
    worker.settle(tag, "dead", "Undecodable", "No.")
    (found,) = Shelf(account.queue, "dead", LANES)
    return found


@pytest.mark.parametrize(
    ("stored", "message_id", "to", "accepted"),
    [
        pytest.param(envelope(), "mine", JANE, 1.7e9, id="whole"),
        pytest.param(envelope(without="properties"), "mine", JANE, 1.7e9, id="no properties"),
        pytest.param(envelope(properties=[]), "mine", JANE, 1.7e9, id="properties that are a list"),
        pytest.param(envelope(without="headers"), "", JANE, None, id="no headers"),
        pytest.param(envelope(headers=[]), "", JANE, None, id="headers that are a list"),
        pytest.param(envelope(without="body"), "mine", "", 1.7e9, id="no body"),
        pytest.param(with_headers(id=7), "", JANE, None, id="an id that is a number"),
        pytest.param(with_headers(mailer_accepted=True), "mine", JANE, None, id="accepted is no number"),
        pytest.param(with_headers(mailer_accepted=-1), "mine", JANE, None, id="accepted before the epoch"),
        pytest.param(with_headers(mailer_accepted=10**400), "mine", JANE, None, id="accepted at the end of time"),
        pytest.param(with_body(DEEP), "mine", "", 1.7e9, id="a body nested too deeply"),
        pytest.param(with_body("{}"), "mine", "", 1.7e9, id="a body that is a dict"),
        pytest.param(with_body('["", {"to": ["jane@example.com"]}]'), "mine", "", 1.7e9, id="a list of recipients"),
        pytest.param(with_body('["", []]'), "mine", "", 1.7e9, id="arguments that are a list"),
        pytest.param(
            envelope(
                body=base64.b64encode(b'[[], {"to": "a@example.com"}]').decode(), properties={"body_encoding": "base64"}
            ),
            *("mine", "a@example.com", 1.7e9),
            id="base64",
        ),
        pytest.param(envelope(properties={"body_encoding": "base64"}), "mine", "", 1.7e9, id="base64 that is none"),
        pytest.param(DEEP, "", "", None, id="nested too deeply"),
        pytest.param("[]", "", "", None, id="a list"),
        pytest.param(b"\xff no JSON", "", "", None, id="no JSON"),
        pytest.param("", "", "", None, id="nothing"),
    ],
)
def test_what_can_be_read_is_read_and_the_sameeverywhere(
    account: Account, worker: Worker, stored: str | bytes, message_id: str, to: str, accepted: float | None
) -> None:
    found = waiting(account, stored)
    assert (found.id, found.to, found.accepted) == (message_id, to, accepted)
    account.client.delete(account.keys.lane("bulk"))
    letter = dead(account, worker, stored)
    assert (letter.id, letter.to, letter.accepted) == (message_id, to, accepted)
    assert letter.masked == found.masked == (to and "***@".join([to[to.find("<") + 1], "example.com"]))


def test_what_cannot_be_read_is_known_by_its_name_and_hides_nothing(account: Account, worker: Worker) -> None:
    letter = dead(account, worker, f'{{"to": "jane@example.com", "nested": {DEEP}')
    account.client.lpush(account.keys.lane("bulk"), envelope())
    find = Whereabouts(account.client, account.keys, LANES)
    assert [found.id for found in find.to("jane@example.com")] == ["mine"]
    unread = find.of(letter.name)
    assert unread is not None
    assert (unread.place, unread.id, unread.masked) == ("dead", letter.name, "")


def test_without_a_body_it_has_its_id_but_is_not_tried_again(account: Account, worker: Worker) -> None:
    letter = dead(account, worker, envelope(without="body"))
    assert (letter.name, letter.id, letter.attempts) == ("mine", "mine", 0)
    done = Shelf(account.queue, "dead", LANES).requeue(Filter())
    assert (done.moved, sum(done.refused.values())) == (0, 1)


@pytest.mark.parametrize("head", [b"", b"no JSON", b'{"code": "\xff"}', b"[]"])
def test_a_reason_that_cannot_be_read_hides_nothing(account: Account, head: bytes) -> None:
    account.client.hset(account.keys.aside("dead"), "mine", head + b"\n" + envelope().encode())
    account.client.zadd(account.keys.aside_index("dead"), {"mine": 1.7e15})
    (letter,) = Shelf(account.queue, "dead", LANES)
    (found,) = Whereabouts(account.client, account.keys, LANES).to("jane@example.com")
    assert (found.id, found.to, found.lane, found.code) == (letter.id, letter.to, letter.lane, letter.code)


def test_earlier_reasons_that_cannot_be_read_hide_nothing(account: Account, worker: Worker) -> None:
    junk = [{}, 7, {"at_us": "soon", "attempts": "many", "code": 7}, {"at_us": 1e300, "attempts": None}]
    letter = dead(account, worker, with_headers(mailer_history=junk))
    assert [(each.code, each.at.timestamp(), each.attempts) for each in letter.history] == [("", 0.0, 0)] * 3


@pytest.mark.parametrize("message_id", [b"\xff", rb"\ud800", b"a\x01b"])
def test_what_has_no_readable_id_can_be_let_go_of(account: Account, worker: Worker, message_id: bytes) -> None:
    letter = dead(account, worker, envelope().encode().replace(b"mine", message_id))
    assert json.loads(json.dumps(letter.readable_name, ensure_ascii=False).encode())
    assert Shelf(account.queue, "dead", LANES).drop(letter.name).dropped == 1
    (line,) = (line for line in _lines(account) if line.verb == "drop")
    assert (line.lane, line.taken, line.attempt) == ("bulk", None, 0)


def _lines(account: Account) -> list[Line]:
    lists = account.client.scan_iter(account.keys.records + ":*")
    return [Line.read(raw) for each in lists for raw in account.raw(each)]


def test_a_moment_in_the_record_that_no_clock_can_show_is_not_known() -> None:
    line = Line.read(b"1700000000000\tlost\tmine\tbulk\t" + b"9" * 5000 + b"\t\t\t\tWorkerLost\t")
    assert line.accepted is None
    assert Line.read(note("mine", "bulk", 10**30, 1, 1, None, "").join(["1\tsent\t", ""]).encode()).accepted is None
