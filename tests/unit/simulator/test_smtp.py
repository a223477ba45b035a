"""SMTP as SES speaks it, through Python's own client."""

from __future__ import annotations

import smtplib
import socket
import ssl
import time
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import pytest

from mailer.simulator.client import Simulator
from mailer.simulator.wire.credentials import smtp_password
from tests.unit.simulator.conftest import SECRET, Ses, mail
from tests.unit.simulator.webhook import until


def a_mail(to: str = "ann@example.com") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "News <news@example.com>"
    message["To"] = to
    message["Subject"] = "Hello"
    message.set_content("Hello.\n")
    return message


def trusting(simulator: Simulator) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=simulator.ca_file)


@pytest.fixture
def smtp(simulator: Simulator) -> Iterator[smtplib.SMTP]:
    """Past STARTTLS and AUTH."""
    with smtplib.SMTP(*simulator.smtp, timeout=30) as client:
        client.starttls(context=trusting(simulator))
        client.login("AKIDEXAMPLE", "any password does without a secret")
        yield client


class Wire:
    """Lines on a socket, as they are."""

    def __init__(self, address: tuple[str, int], tls: ssl.SSLContext | None = None) -> None:
        plain = socket.create_connection(address, timeout=30)
        self.socket = plain if tls is None else tls.wrap_socket(plain, server_hostname="localhost")
        self._lines = self.socket.makefile("rb")

    def line(self) -> str:
        return self._lines.readline().decode().rstrip("\r\n")

    def say(self, line: str) -> str:
        self.socket.sendall(line.encode() + b"\r\n")
        return self.line()

    def close(self) -> None:
        self._lines.close()
        self.socket.close()


def test_the_transcript_before_tls_is_sess(simulator: Simulator) -> None:
    wire = Wire(simulator.smtp)

    host, protocol, ident, number = wire.line().removeprefix("220 ").split(" ")
    assert (host, protocol) == ("email-smtp.amazonaws.com", "ESMTP")
    assert ident.startswith("SimpleEmailService-d-")
    assert len(number) == 20
    assert [wire.say("EHLO me"), *(wire.line() for _ in range(4))] == [
        "250-email-smtp.amazonaws.com",
        "250-8BITMIME",
        "250-STARTTLS",
        "250-AUTH PLAIN LOGIN",
        "250 Ok",
    ]
    assert wire.say("MAIL FROM:<a@example.com>") == "530 Must issue a STARTTLS command first"
    assert wire.say("STARTTLS") == "220 Ready to start TLS"
    wire.close()


def test_the_transcript_of_a_mail_is_sess(simulator: Simulator) -> None:
    wire = Wire(simulator.smtps, trusting(simulator))
    wire.line()
    assert [wire.say("EHLO me"), *(wire.line() for _ in range(3))][1:] == [
        "250-8BITMIME",
        "250-AUTH PLAIN LOGIN",
        "250 Ok",
    ]
    assert wire.say("MAIL FROM:<a@example.com>") == "530 Authentication required"
    assert wire.say("AUTH LOGIN") == "334 VXNlcm5hbWU6"
    assert wire.say("QUtJRA==") == "334 UGFzc3dvcmQ6"
    assert wire.say("cGFzc3dvcmQ=") == "235 Authentication successful."
    assert wire.say("MAIL FROM:<a@example.com>") == "250 Ok"
    assert wire.say("RCPT TO:<b@example.com>") == "250 Ok"
    assert wire.say("DATA") == "354 End data with <CR><LF>.<CR><LF>"
    code, word, ses_id = wire.say("From: a@example.com\r\n\r\nHello\r\n.").split(" ")
    assert (code, word) == ("250", "Ok")
    assert simulator.message(ses_id)["to"] == ["b@example.com"]
    assert wire.say("QUIT") == "221 Bye"
    wire.close()


def test_passwords_are_derived_as_ses_derives_them() -> None:
    assert smtp_password(SECRET, "us-east-1") == "BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9"


def test_a_known_secret_opens_its_regions_account_and_nothing_else_does() -> None:
    with (
        Simulator(smtp=False, smtps=True, secret=f"AKIDEXAMPLE:{SECRET}") as simulator,
        smtplib.SMTP_SSL(*simulator.smtps, context=trusting(simulator), timeout=30) as client,
    ):
        with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
            client.login("AKIDEXAMPLE", SECRET)
        assert (caught.value.smtp_code, caught.value.smtp_error) == (535, b"Authentication Credentials Invalid")

        client.login("AKIDEXAMPLE", smtp_password(SECRET, "eu-west-1"))
        client.send_message(a_mail())
        assert simulator.messages()[0]["region"] == "eu-west-1"


def test_many_mails_go_through_one_connection(smtp: smtplib.SMTP, simulator: Simulator) -> None:
    for number in range(5):
        smtp.send_message(a_mail(f"r{number}@example.com"))

    assert [message["to"] for message in simulator.messages()] == [[f"r{number}@example.com"] for number in range(5)]
    assert {message["transport"] for message in simulator.messages()} == {"smtp"}
    assert simulator.stats()["connections"]["smtp"]["opened"] == 1


def test_smtp_and_the_api_share_one_account(smtp: smtplib.SMTP, ses: Ses, simulator: Simulator) -> None:
    simulator.freeze_clock()
    simulator.set_account(rate=1, bucket=2, quota=3)
    ses.send_email(**mail())
    smtp.send_message(a_mail())

    with pytest.raises(smtplib.SMTPDataError) as caught:
        smtp.send_message(a_mail())
    assert (caught.value.smtp_code, caught.value.smtp_error) == (
        454,
        b"Throttling failure: Maximum sending rate exceeded",
    )

    simulator.advance_clock(1)
    smtp.send_message(a_mail())
    with pytest.raises(smtplib.SMTPDataError, match="Daily message quota exceeded"):
        smtp.send_message(a_mail())


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"sending_enabled": False}, 554, b"Message rejected: Sending paused for this account."),
        ({"enforcement": "SHUTDOWN"}, 554, b"Message rejected: Sending paused for this account."),
        (
            {"sandbox": True},
            554,
            (
                b"Message rejected: Email address is not verified. The following identities failed the check in region "
                b"US-EAST-1: ann@example.com"
            ),
        ),
    ],
)
def test_the_account_refuses_after_data(
    smtp: smtplib.SMTP, simulator: Simulator, changes: dict[str, Any], code: int, text: bytes
) -> None:
    simulator.set_account(**changes)

    with pytest.raises(smtplib.SMTPDataError) as caught:
        smtp.send_message(a_mail())

    assert caught.value.smtp_code == code
    assert isinstance(caught.value.smtp_error, bytes)
    assert caught.value.smtp_error.startswith(text)


def test_bad_recipients_are_refused_after_data_too(smtp: smtplib.SMTP) -> None:
    with pytest.raises(smtplib.SMTPDataError) as caught:
        smtp.sendmail("news@example.com", ["ann@example_.com"], a_mail().as_bytes())
    assert caught.value.smtp_error == b"Transaction failed: Domain contains illegal character"

    with pytest.raises(smtplib.SMTPDataError) as caught:
        smtp.sendmail("news@example.com", [f"r{number}@example.com" for number in range(51)], a_mail().as_bytes())
    assert caught.value.smtp_error == b"Transaction failed: Recipient count exceeds 50."


def test_sess_own_headers_are_obeyed_and_removed(smtp: smtplib.SMTP, simulator: Simulator) -> None:
    message = a_mail()
    message["X-SES-CONFIGURATION-SET"] = "main"
    message["X-SES-MESSAGE-TAGS"] = "mailer-id=m-1, campaign=spring"
    smtp.send_message(message)

    (kept,) = simulator.messages()
    assert kept["configuration_set"] == "main"
    assert kept["tags"] == {"mailer-id": "m-1", "campaign": "spring"}
    assert not [name for name, _ in simulator.message(kept["ses_id"])["headers"] if name.startswith("X-SES")]
    assert [row.message_id for row in simulator.rows()] == ["m-1"]


@pytest.mark.parametrize("kind", ["reset", "close"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_dropped_after_data_may_have_been_accepted(
    smtp: smtplib.SMTP, simulator: Simulator, kind: str, when: str
) -> None:
    simulator.add_fault(kind, when=when, transport="smtp", count=1)

    with pytest.raises(smtplib.SMTPServerDisconnected):
        smtp.send_message(a_mail())

    assert len(simulator.messages()) == (1 if when == "after" else 0)


def test_a_stalled_answer_outlasts_the_client(smtp: smtplib.SMTP, simulator: Simulator) -> None:
    simulator.add_fault("silence", count=1)
    smtp.mail("news@example.com")
    smtp.rcpt("ann@example.com")
    smtp.docmd("DATA")
    assert smtp.sock is not None
    smtp.sock.settimeout(0.3)

    smtp.send(b"From: news@example.com\r\n\r\nHello.\r\n.\r\n")
    with pytest.raises(smtplib.SMTPServerDisconnected, match="timed out"):
        smtp.getreply()

    until(lambda: len(simulator.messages()) == 1)


def test_any_reply_can_be_asked_for(smtp: smtplib.SMTP, simulator: Simulator) -> None:
    simulator.add_fault("error", smtp="451 Temporary service failure", count=1)
    with pytest.raises(smtplib.SMTPDataError) as caught:
        smtp.send_message(a_mail())
    assert (caught.value.smtp_code, caught.value.smtp_error) == (451, b"Temporary service failure")

    smtp.send_message(a_mail())
    assert len(simulator.messages()) == 1


def test_a_line_too_long_is_refused_and_the_session_goes_on(smtp: smtplib.SMTP) -> None:
    assert smtp.docmd("NOOP " + "x" * 5000)[0] == 500
    assert smtp.docmd("NOOP") == (250, b"Ok")


def test_a_line_too_long_in_the_middle_of_auth_is_refused_too(simulator: Simulator) -> None:
    with smtplib.SMTP(*simulator.smtp, timeout=30) as client:
        client.starttls(context=trusting(simulator))
        client.ehlo()
        assert client.docmd("AUTH LOGIN")[0] == 334
        assert client.docmd("x" * 5000) == (500, b"Command line too long")
        assert client.docmd("NOOP") == (250, b"Ok")


@pytest.mark.parametrize(
    ("header", "code", "text"),
    [
        ("X-SES-CONFIGURATION-SET: größe", 554, b"Message rejected: Configuration set <gr"),
        ("X-SES-MESSAGE-TAGS: a=ü", 554, b"Transaction failed: Invalid message tag: 'a="),
    ],
)
def test_what_is_not_ascii_is_refused_in_sess_words_all_the_same(
    smtp: smtplib.SMTP, header: str, code: int, text: bytes
) -> None:
    raw = f"From: a@example.com\r\n{header}\r\n\r\nHello\r\n".encode()
    with pytest.raises(smtplib.SMTPDataError) as caught:
        smtp.sendmail("a@example.com", ["b@example.com"], raw)

    assert caught.value.smtp_code == code
    assert isinstance(caught.value.smtp_error, bytes)
    assert caught.value.smtp_error.startswith(text)


def test_an_address_that_is_none_is_named(smtp: smtplib.SMTP) -> None:
    smtp.mail("a@example.com")
    assert smtp.docmd("RCPT TO:<<a>") == (553, b"<<a> Invalid email address")


@pytest.mark.parametrize("name", ["From", "subject", "List-Unsubscribe", "MIME-VERSION"])
def test_what_may_stand_once_in_a_message_may_not_stand_twice(smtp: smtplib.SMTP, name: str) -> None:
    documented = {"subject": "Subject", "MIME-VERSION": "MIME-Version"}.get(name, name)
    raw = f"From: a@example.com\r\n{name}: <a@example.com>\r\n{name.lower()}: x\r\n\r\nHello\r\n"
    with pytest.raises(smtplib.SMTPDataError) as caught:
        smtp.sendmail("a@example.com", ["b@example.com"], raw)

    assert caught.value.smtp_error == f"Transaction failed: Duplicate header '{documented}'.".encode()


def test_what_may_stand_twice_may(smtp: smtplib.SMTP, simulator: Simulator) -> None:
    raw = "From: a@example.com\r\nTo: b@example.com\r\nTo: c@example.com\r\nX-A: 1\r\nX-A: 2\r\n\r\nHello\r\n"
    smtp.sendmail("a@example.com", ["b@example.com"], raw)

    assert len(simulator.messages()) == 1


def test_who_sends_a_message_for_longer_than_the_idle_time_is_not_idle() -> None:
    with (
        Simulator(smtp_insecure=True, smtp_idle_seconds=4) as simulator,
        smtplib.SMTP(*simulator.smtp, timeout=30) as client,
    ):
        client.ehlo()
        client.mail("a@example.com")
        client.rcpt("b@example.com")
        client.docmd("DATA")
        assert client.sock is not None
        start = time.monotonic()
        client.sock.sendall(b"From: a@example.com\r\n\r\n")
        while time.monotonic() - start < 5:
            client.sock.sendall(b"Hello.\r\n")
            time.sleep(0.1)
        client.sock.sendall(b".\r\n")
        assert client.getreply()[0] == 250


def test_an_idle_connection_is_closed_with_a_word() -> None:
    with Simulator(smtp_idle_seconds=0.3) as simulator:
        wire = Wire(simulator.smtp)
        wire.line()

        assert wire.line() == "451 4.4.2 Timeout waiting for data from client."
        assert wire.line() == ""
        wire.close()


@pytest.mark.parametrize("by", ["an outage", "the idle time"])
def test_a_connection_that_is_closed_while_tls_is_agreed_on_is_gone(by: str) -> None:
    with Simulator(smtp_idle_seconds=4 if by == "the idle time" else 60) as simulator:
        wire = Wire(simulator.smtp)
        wire.line()
        wire.say("EHLO me")
        for _ in range(4):
            wire.line()
        assert wire.say("STARTTLS") == "220 Ready to start TLS"
        if by == "an outage":
            simulator.add_fault("refuse", transport="smtp", seconds=600)

        assert wire.line() == ""
        until(lambda: simulator.stats()["connections"]["smtp"]["open"] == 0)
        wire.close()


def test_the_demand_for_tls_and_auth_can_be_dropped() -> None:
    with Simulator(smtp_insecure=True) as simulator, smtplib.SMTP(*simulator.smtp, timeout=30) as client:
        client.send_message(a_mail())

        assert len(simulator.messages()) == 1
