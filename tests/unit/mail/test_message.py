"""What SES takes of a message, checked before anything is enqueued."""

from __future__ import annotations

import re
from email.header import decode_header, make_header
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.errors import InvalidMessage
from mailer.mail.attachment import Attachment
from mailer.mail.content import Structured
from mailer.mail.header import check_header_value, encode_words

GOOD: dict[str, Any] = {"sender": "News <news@example.com>", "subject": "Hello", "text": "Hi"}


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("sender", {"sender": "nobody"}),
        ("sender", {"sender": None}),
        ("subject", {"subject": "a\r\nBcc: eve@example.com"}),
        ("subject", {"subject": "a\x00"}),
        ("subject", {"subject": "a" * 999}),
        ("subject", {"subject": None}),
        ("text", {"text": None}),
        ("text", {"text": b"Hi"}),
        ("text", {"text": "a\0b"}),
        ("text", {"text": "\ud800"}),
        ("html", {"html": 5}),
        ("reply_to", {"reply_to": "nobody"}),
        ("reply_to[1]", {"reply_to": ["a@example.com", "b"]}),
        ("reply_to", {"reply_to": 5}),
        ("headers[X-A]", {"headers": {"X-A": "a\r\nBcc: eve@example.com"}}),
        ("headers[X-A]", {"headers": {"X-A": ""}}),
        ("headers[X-A]", {"headers": {"X-A": "a" * 996}}),
        ("headers[X-A]", {"headers": {"X-A": 5}}),
        ("headers[x-a]", {"headers": {"X-A": "1", "x-a": "2"}}),
        ("headers[X A]", {"headers": {"X A": "1"}}),
        ("headers[X:]", {"headers": {"X:": "1"}}),
        ("headers['X\\r\\nBcc']", {"headers": {"X\r\nBcc": "1"}}),
        ("headers[" + "X" * 127 + "]", {"headers": {"X" * 127: "1"}}),
        ("headers[List-Unsubscribe]", {"headers": {"List-Unsubscribe": "<https://example.com/ü>"}}),
        ("headers[Sender]", {"headers": {"Sender": "Jürgen <j@example.com>"}}),
        ("headers", {"headers": {f"X-{i}": "1" for i in range(16)}}),
        ("headers", {"headers": {f"X-{i}": "1" for i in range(14)}, "list_unsubscribe": "https://example.com"}),
        ("headers", {"headers": ["X-A: 1"]}),
        ("headers[List-Unsubscribe]", {"headers": {"list-unsubscribe": "<x>"}, "list_unsubscribe": "https://e.com"}),
        ("list_unsubscribe", {"list_unsubscribe": "http://example.com"}),
        ("list_unsubscribe", {"list_unsubscribe": "https://example.com/a b"}),
        ("list_unsubscribe", {"list_unsubscribe": "https://example.com/>\r\nX: <"}),
        ("tags['a b']", {"tags": {"a b": "1"}}),
        ("tags['a']", {"tags": {"a": "ä"}}),
        ("tags['mailer-id']", {"tags": {"mailer-id": "mine"}}),
        ("tags['a']", {"tags": {"a": "x" * 257}}),
        ("tags", {"tags": {f"t{i}": "1" for i in range(50)}}),
        ("configuration_set", {"configuration_set": "a b"}),
        ("attachments", {"attachments": "a.txt"}),
        ("attachments[0]", {"attachments": [b"x"]}),
        ("attachments[0].filename", {"attachments": [Attachment("a\r\nb", b"x")]}),
        ("attachments[0].filename", {"attachments": [Attachment("../a", b"x")]}),
        ("attachments[0].content", {"attachments": [Attachment("a", "x")]}),  # type: ignore[arg-type]
        ("attachments[0].content_type", {"attachments": [Attachment("a", b"x", "text/plain\r\nX: 1")]}),
        ("attachments[0].content_type", {"attachments": [Attachment("a", b"x", "text")]}),
        ("attachments[0].content_type", {"attachments": [Attachment("a", b"x", "text/ma\u017fk")]}),
        ("attachments[0].content_id", {"attachments": [Attachment("a", b"x", content_id="<a>")]}),
        ("attachments", {"attachments": [Attachment("a", bytes(31 * 1024 * 1024))]}),
    ],
)
def test_a_bad_field_is_refused_by_name(field: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidMessage) as caught:
        Structured.of(**{**GOOD, **arguments})
    assert caught.value.field == field
    assert caught.value.remedy


@pytest.mark.parametrize(
    "name",
    [
        "From",
        "to",
        "CC",
        "Bcc",
        "Subject",
        "Date",
        "Message-ID",
        "Return-Path",
        "MIME-Version",
        "Reply-To",
        "Received",
        "Content-Type",
        "content-id",
        "DKIM-Signature",
        "X-SES-Configuration-Set",
        "X-SES-Message-Tags",
        "Resent-To",
    ],
)
def test_headers_that_have_an_owner_are_refused(name: str) -> None:
    with pytest.raises(InvalidMessage, match=re.escape(name)):
        Structured.of(**GOOD, headers={name: "x"})


def test_a_header_that_is_not_ascii_is_encoded() -> None:
    value = check_header_value("X-Campaign", "Frühling")
    assert value == "=?utf-8?b?RnLDvGhsaW5n?="


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_encoded_words_say_the_same_within_75_characters_each(text: str) -> None:
    words = encode_words(text)
    assert all(len(word) <= 75 for word in words.split(" "))
    assert str(make_header(decode_header(words))) == text


@pytest.mark.parametrize(
    ("uris", "value", "one_click"),
    [
        ("https://example.com/u", "<https://example.com/u>", True),
        ("mailto:leave@example.com", "<mailto:leave@example.com>", False),
        (
            ["https://example.com/u", "mailto:leave@example.com?subject=x"],
            "<https://example.com/u>, <mailto:leave@example.com?subject=x>",
            True,
        ),
    ],
)
def test_list_unsubscribe_is_one_click_with_an_https_url(uris: Any, value: str, one_click: bool) -> None:
    headers = dict(Structured.of(**GOOD, list_unsubscribe=uris).render({}).headers)
    assert headers["List-Unsubscribe"] == value
    assert headers.get("List-Unsubscribe-Post") == ("List-Unsubscribe=One-Click" if one_click else None)


def test_an_attachment_just_under_the_limit_is_taken() -> None:
    Structured.of(**GOOD, attachments=[Attachment("a.bin", bytes(30_000_000))])


@pytest.mark.parametrize("name", ["X" * 100_000, "\0" * 100_000, ("X" * 100_000,)])
def test_a_long_name_of_a_header_is_quoted_in_part(name: object) -> None:
    with pytest.raises(InvalidMessage) as caught:
        Structured.of(**GOOD, headers=[(name, "a")])
    assert len(str(caught.value)) < 400
