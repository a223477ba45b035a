"""Raw mail through every transport: what arrives at SES is what was given, byte for byte."""

from __future__ import annotations

import base64
import re
import socket
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from typing import Any

import pytest

from mailer.delivery.outcome import Kind, deliver
from mailer.errors import InvalidMessage
from mailer.mail.address import parse
from mailer.mail.message import Message
from mailer.mail.raw import Raw
from mailer.ses.access import ClientConfig
from mailer.ses.smtp import SmtpTransport
from mailer.ses.transport import Transport
from mailer.settings import TransportKind
from mailer.simulator.client import Simulator
from tests.support.servers import RawServer
from tests.unit.ses.corpus import corpus

SHAPES = 500
RECIPIENT = parse("Jane <jane@example.net>")
MAIL = (
    b"From: News <news@example.com>\r\nTo: list@example.com\r\nCc: c@example.com\r\nSubject: Hi\r\n\r\n.\r\nHi \xfc\r\n"
)
CONSUMED = ("bcc", "resent-bcc", "x-ses-message-tags", "x-ses-configuration-set")


def left(mail: bytes) -> bytes:
    """``mail`` without the headers that we remove and those that SES consumes, told apart line by line."""
    kept, dropped, in_head = [], False, True
    for line in (
        mail.splitlines(keepends=True) if b"\r" not in mail.replace(b"\r\n", b"") else re.split(b"(?<=\n)", mail)
    ):
        if in_head and not line.strip(b"\r\n"):
            in_head = dropped = False
        elif in_head and line[:1] not in b" \t":
            dropped = line.partition(b":")[0].strip().decode("ascii").lower() in CONSUMED
        if not (in_head and dropped):
            kept.append(line)
    return b"".join(kept)


def over(kind: TransportKind, mail: bytes) -> bytes:
    """``mail`` as it is after that transport: SMTP ends each line, the last too, with CRLF."""
    if kind != "smtp":
        return mail
    lines = re.sub(b"\r?\n", b"\r\n", mail)
    return lines if lines.endswith(b"\r\n") else lines + b"\r\n"


def read_back(ses: Simulator, ses_id: str) -> dict[str, Any]:
    found = ses.message(ses_id)
    found["raw"] = base64.b64decode(found["raw"])
    return found


@pytest.fixture(scope="module")
def accepted() -> list[tuple[str, bytes, Raw]]:
    """The shapes that can be sent as they are: each with its name, as it was and as content."""
    found = []
    for name, mail in corpus():
        # Some of CPython's test data are no mails: they have no author, or one that is no address, or 8-bit headers.
        with suppress(InvalidMessage) if name.startswith("msg_") else nullcontext():
            found.append((name, mail, Raw.of(mail)))
    assert len(found) >= SHAPES
    return found


def test_every_shape_arrives_byte_for_byte(
    accepted: list[tuple[str, bytes, Raw]], transport: Transport, kind: TransportKind, ses: Simulator
) -> None:
    changed, refused = [], {}
    for number, (name, mail, content) in enumerate(accepted):
        outcome = deliver(Message(f"m-{number}", RECIPIENT, content), transport)
        if outcome.kind is Kind.REJECTED:
            refused[name] = outcome.detail
            continue
        assert outcome.kind is Kind.SENT, f"{name}: {outcome}"
        got = read_back(ses, str(outcome.ses_id))
        if got["raw"] != over(kind, left(mail)) or got["tags"].get("mailer-id") != f"m-{number}":
            changed.append(name)
    assert changed == []
    # An author in the old form, with the name in brackets behind the address, SES does not take.
    assert all("Domain contains control or whitespace" in detail for detail in refused.values()), refused
    assert len(accepted) - len(refused) >= SHAPES


def test_the_envelope_is_not_what_the_headers_say(transport: Transport, ses: Simulator) -> None:
    got = read_back(ses, transport.send(Message("m-1", RECIPIENT, Raw.of(MAIL, sender="bounces@example.com"))))

    assert (got["from"], got["to"]) == ("bounces@example.com", ["jane@example.net"])
    assert got["raw"] == MAIL


def test_tags_and_configuration_set_mean_what_they_mean_to_ses(transport: Transport, ses: Simulator) -> None:
    theirs = b"X-SES-MESSAGE-TAGS: a=b,\r\n c=d\r\nX-SES-CONFIGURATION-SET: main-set\r\nX-SES-TENANT: t\r\n"

    merged = read_back(ses, transport.send(Message("m-1", RECIPIENT, Raw.of(theirs + MAIL))))
    given = Raw.of(theirs.replace(b"main", b"no") + MAIL, tags={"e": "f"}, configuration_set="main-set")
    replaced = read_back(ses, transport.send(Message("m-2", RECIPIENT, given)))

    assert merged["tags"] == {"mailer-id": "m-1", "a": "b", "c": "d"}
    assert replaced["tags"] == {"mailer-id": "m-2", "e": "f"}
    assert merged["configuration_set"] == replaced["configuration_set"] == "main-set"
    assert merged["raw"] == replaced["raw"] == b"X-SES-TENANT: t\r\n" + MAIL


@pytest.fixture
def seven_bit() -> Iterator[tuple[RawServer, list[bytes]]]:
    """An SMTP server that does not offer 8BITMIME."""
    seen: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        lines = connection.makefile("rb")
        connection.sendall(b"220 ready\r\n")
        while line := lines.readline():
            seen.append(line)
            connection.sendall(b"250 Ok\r\n")

    with RawServer(serve) as server:
        yield server, seen


def test_eight_bits_are_not_sent_to_a_server_that_takes_seven(seven_bit: tuple[RawServer, list[bytes]]) -> None:
    server, seen = seven_bit
    with SmtpTransport(ClientConfig(smtp_url=f"smtp+plain://127.0.0.1:{server.port}")) as transport:
        outcome = deliver(Message("m-1", RECIPIENT, Raw.of(MAIL)), transport)

    assert (outcome.kind, outcome.code) == (Kind.REJECTED, "EightBit")
    assert "base64" in outcome.detail
    assert not any(line.startswith(b"MAIL") for line in seen)
