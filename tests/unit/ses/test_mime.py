from __future__ import annotations

import email
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.errors import Rejected
from mailer.mail.address import Address
from mailer.mail.attachment import Attachment
from mailer.mail.fields import base64_bytes
from mailer.mail.message import Message
from mailer.ses.mime import encode
from tests.unit.ses.conftest import a_message

# What validation lets through: text without control characters, in which line ends are line ends.
LINE = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\u2028\u2029"), max_size=1200)
BODY = st.lists(LINE, max_size=5).map("\n".join)
SUBJECT = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=300).filter(
    lambda text: text.strip() == text and "  " not in text and "=?" not in text
)


def parsed(message: Message) -> EmailMessage:
    return email.message_from_bytes(encode(message), policy=default)


def text_of(part: EmailMessage | None) -> str:
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


@given(text=BODY, html=BODY)
def test_bodies_survive_and_every_line_is_short_ascii(text: str, html: str) -> None:
    message = a_message(text=text, html=html)

    data = encode(message)

    assert max(len(line) for line in data.split(b"\r\n")) <= 998
    assert data.isascii()
    assert b"\n" not in data.replace(b"\r\n", b"")
    assert b"\r" not in data.replace(b"\r\n", b"")
    got = parsed(message)
    for kind, sent in (("plain", text), ("html", html)):
        part = cast("EmailMessage", got.get_body((kind,)))
        assert part.get_payload(decode=True).decode().replace("\r\n", "\n").rstrip("\n") == sent.rstrip("\n")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "line", ["Съешь ещё этих мягких булок", "漢字" * 2000, "Grüße, " + "x" * 50, "x" * 2000, "=" * 2000]
)
def test_no_body_is_larger_than_validation_takes_it_for(line: str) -> None:
    text = f"{line}\n" * 1000
    octets = len(text.replace("\n", "\r\n").encode())

    message = a_message(text=text)

    assert len(encode(message)) < base64_bytes(octets) + 2048
    assert text_of(parsed(message)) == text


@given(subject=SUBJECT)
def test_a_subject_survives(subject: str) -> None:
    message = a_message(subject=subject)

    assert parsed(message)["Subject"] == subject
    assert max(len(line) for line in encode(message).split(b"\r\n")) <= 998


@pytest.mark.parametrize("subject", ["=?utf-8?q?abc?=", "Re: =?utf-8?b?YWJj?= and more", "a =? b", "=?" * 100])
def test_a_subject_that_looks_encoded_arrives_as_it_is(subject: str) -> None:
    data = encode(a_message(subject=subject))

    written = data.split(b"\r\nDate: ")[0].split(b"\r\nSubject: ")[1].replace(b"\r\n", b"").decode()
    assert str(make_header(decode_header(written))) == subject


@pytest.mark.parametrize("character", ["é", "漢", "🎉", "a é;*'%"])
@pytest.mark.parametrize("length", [1, 80, 81, 100, 251])
def test_the_name_of_a_file_survives_in_lines_that_smtp_takes(character: str, length: int) -> None:
    filename = (character * length)[:length] + "é.pdf"
    message = a_message(attachments=(Attachment(filename, b"x"), Attachment(filename, b"y", content_id="i")))

    assert max(len(line) for line in encode(message).split(b"\r\n")) <= 998
    names = [part.get_filename() for part in parsed(message).walk()]
    assert [name for name in names if name] == [filename, filename]


def test_a_long_list_unsubscribe_is_not_folded() -> None:
    url = "<https://example.com/" + "u" * 900 + ">"

    data = encode(a_message(headers=(("List-Unsubscribe", url),)))

    assert f"\r\nList-Unsubscribe: {url}\r\n".encode() in data


def test_one_body_is_no_multipart() -> None:
    assert parsed(a_message()).get_content_type() == "text/plain"
    assert parsed(a_message(text=None, html="<p>")).get_content_type() == "text/html"
    assert parsed(a_message(html="<p>")).get_content_type() == "multipart/alternative"


def test_inline_files_stand_beside_the_body_and_others_beside_all_that() -> None:
    message = a_message(
        html='<img src="cid:logo">',
        attachments=(
            Attachment("logo.png", b"\x89PNG", "image/png", content_id="logo"),
            Attachment("Überblick.csv", b"a,b\r\n", "text/csv; charset=utf-8"),
        ),
    )

    mixed = parsed(message)

    related, attached = mixed.iter_parts()
    alternative, inline = related.iter_parts()
    assert mixed.get_content_type() == "multipart/mixed"
    assert related.get_content_type() == "multipart/related"
    assert [part.get_content_type() for part in alternative.iter_parts()] == ["text/plain", "text/html"]
    assert inline["Content-ID"] == "<logo>"
    assert inline.get_content_disposition() == "inline"
    assert inline.get_content() == b"\x89PNG"
    assert attached.get_filename() == "Überblick.csv"
    assert attached.get_content_disposition() == "attachment"
    assert (attached.get_content_type(), attached.get_content_charset()) == ("text/csv", "utf-8")
    assert attached.get_payload(decode=True) == b"a,b\r\n"
    assert mixed["MIME-Version"] == "1.0"


def test_headers_are_the_messages_and_sess_own() -> None:
    message = a_message(
        reply_to=("a@example.com", "b@example.com"),
        headers=(("X-A", "b"),),
        configuration_set="set",
        tags=(("n", "v"),),
    )

    got = parsed(message)

    assert got["From"] == message.content.sender
    assert got["To"] == message.recipient.header
    assert got["Reply-To"] == "a@example.com, b@example.com"
    assert got["X-A"] == "b"
    assert got["X-SES-CONFIGURATION-SET"] == "set"
    assert got["X-SES-MESSAGE-TAGS"] == f"mailer-id={message.id}, n=v"
    assert got["Date"]
    assert got["Bcc"] is None


@pytest.mark.parametrize(
    "changes",
    [
        {"to": Address("", "a", "example.com\r\nBcc: b@example.com")},
        {"sender": "a@example.com\nX: y"},
        {"subject": "a\r\nBcc: b@example.com"},
        {"subject": "ü\nBcc: b@example.com"},
        {"headers": (("X", "a\rb"),)},
        {"headers": (("X\r\nY", "a"),)},
        {"tags": (("n", "v\r\nX: y"),)},
        {"to": Address("", "ü", "example.com")},
    ],
)
def test_nothing_breaks_out_of_its_header(changes: dict[str, object]) -> None:
    with pytest.raises(Rejected):
        encode(a_message(**changes))
