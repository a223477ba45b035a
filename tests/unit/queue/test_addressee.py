"""Whom a message is to, however it is written: the search and the filters of the shelves find the same."""

from __future__ import annotations

import json

import pytest

from mailer.queue.search import Whereabouts
from mailer.queue.shelf import Filter, Shelf
from tests.support.account import LANES, Account, Worker


def escaped(text: str, characters: str) -> str:
    """As a producer writes it that escapes more than it has to."""
    for each in characters:
        text = text.replace(each, f"\\u{ord(each):04X}")
    return text


def envelope(message_id: str, to: str, escapes: str = "", *, ascii_only: bool = True) -> bytes:
    body = escaped(json.dumps([[], {"to": to}, {}], ensure_ascii=ascii_only), escapes)
    headers = {"id": message_id, "task": "mailer.send"}
    whole = {"body": body, "headers": headers, "properties": {"body_encoding": None}}
    return json.dumps(whole, ensure_ascii=ascii_only).encode()


@pytest.mark.parametrize(
    ("wanted", "written"),
    [
        ("jane@example.com", envelope("it", "Jane <JANE@Example.com >")),
        ("Jane <JANE@Example.com>", envelope("it", "jane@example.com")),
        ("a=b+c@example.com", envelope("it", "a=b+c@example.com", "=+@")),
        ("o'neil/sales@example.com", envelope("it", "o'neil/sales@example.com", "'").replace(b"/", rb"\\/")),
        ("jane@xn--bcher-kva.example", envelope("it", "jane@Bücher.example")),
        ("jane@bücher.example", envelope("it", "jane@xn--bcher-kva.example")),
        ("jane@bücher.example", envelope("it", "Jane <jane@bücher.example>", ascii_only=False)),
    ],
)
def test_a_message_is_found_however_its_recipient_is_written(
    account: Account, worker: Worker, wanted: str, written: bytes
) -> None:
    address = wanted.rpartition("<")[2].rstrip(">")
    for each in (envelope("other", "mary@example.org"), envelope("like", f"not-{address}"), written):
        account.client.lpush(account.keys.lane("bulk"), each)
    find = Whereabouts(account.client, account.keys, LANES)
    assert [found.id for found in find.to(wanted)] == ["it"]
    for tag in worker.take(3):
        worker.settle(tag, "dead", "MessageRejected", "No.")
    shelf = Shelf(account.queue, "dead", LANES)
    assert [message.id for message in shelf.messages(Filter(to=wanted))] == ["it"]
    assert {message.id for message in shelf.messages(Filter(to=address[address.index("@") :]))} == {"it", "like"}
