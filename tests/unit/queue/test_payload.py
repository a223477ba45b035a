"""The payload: what a worker accepts from the queue, from this producer or a foreign one."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.errors import InvalidMessage, QueueUnavailable
from mailer.mail.address import parse
from mailer.mail.attachment import Attachment
from mailer.mail.content import Structured, hash_of
from mailer.mail.message import Message
from mailer.mail.template.bounds import Heavy
from mailer.queue import payload
from mailer.queue.payload import decode, inline
from tests.support.content import structured

PLAIN: dict[str, Any] = {"to": "jane@example.com", "sender": "n@example.com", "subject": "Hi", "text": "Hello"}


def nothing_stored(_: str) -> bytes | None:
    return None


def test_an_inline_message_comes_back_whole() -> None:
    content = Structured.of(
        sender="Nëws <n@example.com>",
        subject="Hi",
        text="Hello",
        html="<p>Hello</p>",
        reply_to=["help@example.com"],
        headers={"X-A": "ü"},
        attachments=[Attachment("a.txt", b"\0\xff", "text/plain", "cid")],
        configuration_set="main",
        tags={"a": "b"},
        list_unsubscribe="https://example.com/u",
    )
    assert decode(inline("jane@example.com", content), nothing_stored, message_id="id") == Message(
        "id",
        parse("jane@example.com"),
        Structured(
            sender="=?utf-8?b?TsOrd3M=?= <n@example.com>",
            subject="Hi",
            text="Hello",
            html="<p>Hello</p>",
            reply_to=("help@example.com",),
            headers=(
                ("X-A", "=?utf-8?b?w7w=?="),
                ("List-Unsubscribe", "<https://example.com/u>"),
                ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
            ),
            attachments=(Attachment("a.txt", b"\0\xff", "text/plain", "cid"),),
            configuration_set="main",
            tags=(("a", "b"),),
        ),
    )


def test_a_foreign_producer_may_send_plain_arguments() -> None:
    message = decode({**PLAIN, "headers": {"X-A": "1"}, "tags": {"a": "b"}}, nothing_stored, message_id="id")
    assert message.recipient.header == "jane@example.com"
    assert (message.content.headers, message.content.tags) == ((("X-A", "1"),), (("a", "b"),))


def test_a_foreign_producer_may_leave_optional_arguments_empty() -> None:
    empty = dict.fromkeys(["html", "reply_to", "headers", "attachments", "configuration_set", "tags"])
    assert structured(decode({**PLAIN, **empty}, nothing_stored, message_id="id")).text == "Hello"


def test_a_referring_message_is_rendered_and_its_content_read_once() -> None:
    content = Structured.of(sender="n@example.com", subject="Hi {{ name }}", text="read once", templates=True)
    asked = []

    def fetch(digest: str) -> bytes:
        asked.append(digest)
        return content.encoded

    for name in ("Jane", "Joe"):
        kwargs = {"to": "a@example.com", "vars": {"name": name}}
        message = decode(kwargs, fetch, message_id="id", content_hash=content.hash)
        assert structured(message).subject == f"Hi {name}"
    assert asked == [content.hash]


@pytest.mark.parametrize("text", ["{{ x", "{{ x.upper() }}", "{{ " + "(" * 5000])
def test_a_content_that_makes_no_mail_is_fetched_and_read_once_for_all_of_its_messages(text: str) -> None:
    fields = {"v": 1, "sender": "n@example.com", "subject": "Hi", "text": text, "templates": True}
    stored = json.dumps(fields).encode()
    fetched = []

    def fetch(digest: str) -> bytes:
        fetched.append(digest)
        return stored

    kwargs = {"to": "jane@example.com", "vars": {}}
    said = set()
    for _ in range(3):
        with pytest.raises(InvalidMessage, match="text") as refused:
            decode(kwargs, fetch, message_id="id", content_hash=hash_of(stored))
        said.add(str(refused.value))
    assert (len(fetched), len(said)) == (1, 1)
    assert payload.is_light(kwargs, hash_of(stored), 100)


def test_content_that_is_gone_or_changed_is_refused() -> None:
    kwargs = {"to": "a@example.com", "vars": {}}
    with pytest.raises(InvalidMessage, match="not stored any more"):
        decode(kwargs, nothing_stored, message_id="id", content_hash="0" * 32)
    with pytest.raises(InvalidMessage, match="not what is stored"):
        decode(kwargs, lambda _: b"{}", message_id="id", content_hash="0" * 32)


def test_a_queue_that_fails_is_not_a_bad_message() -> None:
    def fetch(_: str) -> bytes:
        raise QueueUnavailable("gone")

    with pytest.raises(QueueUnavailable):
        decode({"to": "a@example.com"}, fetch, message_id="id", content_hash="f" * 32)


@pytest.mark.parametrize(
    ("field", "kwargs"),
    [
        ("v", {**PLAIN, "v": 2}),
        ("v", {**PLAIN, "v": True}),
        ("to", {}),
        ("to", {**PLAIN, "to": ["jane@example.com"]}),
        ("to", {**PLAIN, "to": "jane@example.com\r\nBcc: eve@example.com"}),
        ("sender", {"to": "a@example.com"}),
        ("subject", {"to": "a@example.com", "sender": "a@example.com"}),
        ("subject", {**PLAIN, "subject": "a\nb"}),
        ("text", {**PLAIN, "text": None}),
        ("headers[X]", {**PLAIN, "headers": {"X": "a\nb"}}),
        ("headers[From]", {**PLAIN, "headers": {"From": "a"}}),
        ("attachments", {**PLAIN, "attachments": {}}),
        ("attachments[0]", {**PLAIN, "attachments": ["x"]}),
        ("attachments[0].content", {**PLAIN, "attachments": [{"filename": "a", "content": "?"}]}),
        ("attachments[0].filename", {**PLAIN, "attachments": [{"filename": 1, "content": ""}]}),
        ("priority", {**PLAIN, "priority": 1}),
        ("content", {**PLAIN, "content": "0" * 32}),
        ("templates", {**PLAIN, "templates": True}),
    ],
)
def test_what_a_queue_should_not_hold_is_refused_by_name(field: str, kwargs: dict[str, Any]) -> None:
    with pytest.raises(InvalidMessage) as caught:
        decode(kwargs, nothing_stored, message_id="id")
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("field", "kwargs", "content_hash"),
    [
        ("sender", PLAIN, "0" * 32),
        ("content", {"to": "a@example.com"}, 7),
        ("content", {"to": "a@example.com"}, "../" + "0" * 32),
        ("vars", {"to": "a@example.com", "vars": []}, "0" * 32),
    ],
)
def test_what_a_reference_should_not_hold_is_refused_by_name(
    field: str, kwargs: dict[str, Any], content_hash: object
) -> None:
    with pytest.raises(InvalidMessage) as caught:
        decode(kwargs, nothing_stored, message_id="id", content_hash=content_hash)
    assert caught.value.field == field


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=20), st.just("a@example.com\r\nX: 1")),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(["to", "sender", "subject", "text", "reply_to", "headers", "tags", "attachments", "vars", "v"]),
        JSON,
    ),
    st.booleans(),
)
def test_whatever_the_queue_holds_becomes_a_clean_message_or_is_refused(kwargs: dict[str, Any], sound: bool) -> None:
    try:
        message = decode({**kwargs, **PLAIN} if sound else {**PLAIN, **kwargs}, nothing_stored, message_id="id")
    except InvalidMessage:
        return
    content = structured(message)
    lines = [content.sender, message.recipient.header, content.subject, *content.reply_to]
    lines += [part for header in content.headers for part in header]
    assert not any(character in line for line in lines for character in "\r\n\0")


def test_attachments_are_in_base64() -> None:
    attachment = {"filename": "a.txt", "content": base64.b64encode(b"hello").decode()}
    message = decode({**PLAIN, "attachments": [attachment]}, nothing_stored, message_id="id")
    assert structured(message).attachments == (Attachment("a.txt", b"hello"),)


def test_what_takes_long_is_left_to_those_who_have_patience() -> None:
    content = Structured.of(
        sender="n@example.com", subject="Hi", text="{% for i in range(n) %}{% endfor %}{{ n }}", templates=True
    )

    def made(n: int, *, patient: bool) -> str | None:
        kwargs = {"to": "a@example.com", "vars": {"n": n}}
        message = decode(kwargs, lambda _: content.encoded, message_id="id", content_hash=content.hash, patient=patient)
        return structured(message).text

    with pytest.raises(Heavy):
        made(1, patient=False)
    assert made(1, patient=True) == made(1, patient=False) == "1"
    with pytest.raises(Heavy):
        made(30_000, patient=False)
    assert made(30_000, patient=True) == "30000"
    with pytest.raises(InvalidMessage, match="more than 100,000 steps"):
        made(10**9, patient=True)


def test_a_large_message_is_left_to_those_who_have_patience() -> None:
    large = {**PLAIN, "text": "x" * 2_000_000}
    with pytest.raises(Heavy):
        decode(large, nothing_stored, message_id="id", patient=False)
    assert structured(decode(large, nothing_stored, message_id="id")).text == large["text"]


def test_a_template_of_a_foreign_producer_is_refused_without_its_values() -> None:
    content = Structured.of(sender="n@example.com", subject="Hi", text="Code:\n{{ code + 1 }}", templates=True)
    kwargs = {"to": "a@example.com", "vars": {"code": "4711-secret"}}
    with pytest.raises(InvalidMessage) as caught:
        decode(kwargs, lambda _: content.encoded, message_id="id", content_hash=content.hash)
    assert "line 2: {{ code + 1 }}" in str(caught.value)
    assert "4711" not in str(caught.value)


@pytest.mark.parametrize(
    "stored",
    [
        b'{"v":1,"sender":"s@example.com","subject":"x","text":"x","headers":[' + b"[]," * 200_000 + b"0]}",
        b'raw {"v":1,"sender":"' + b"x" * 70_000 + b'"}\nFrom: a@example.com\n\nHi',
        b"[" * 100_000,
    ],
)
def test_a_stored_content_that_costs_much_to_read_is_refused_unread(stored: bytes) -> None:
    with pytest.raises(InvalidMessage, match="content"):
        decode({"to": "a@example.com"}, lambda _: stored, message_id="id", content_hash=hash_of(stored))


@pytest.mark.parametrize("name", ["zz" * 16, "a" * 31, "A" * 32, "\u0663" * 32, "a" * 33, 5, "", "\ud800"])
def test_a_content_lies_under_a_hash_only(name: object) -> None:
    with pytest.raises(InvalidMessage, match="hash of a stored content"):
        decode({"to": "a@example.com"}, lambda _: b"{}", message_id="id", content_hash=name)
