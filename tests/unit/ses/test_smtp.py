"""The SMTP dialogue, seen by a scripted server."""

from __future__ import annotations

import socket
import time

import pytest

from mailer.delivery.outcome import Kind, deliver
from mailer.errors import SettingsError
from mailer.ses.access import ClientConfig
from mailer.ses.smtp import SmtpTransport
from mailer.ses.smtp_connection import parse_url, ses_password
from mailer.simulator.client import Simulator
from mailer.testbed.environment import SECRET_KEY
from tests.support.servers import RawServer, reset
from tests.unit.ses.conftest import a_message


class Script:
    """An SMTP server whose answers can be replaced: by verb, ``DOT`` after the content, ``GREETING`` before all.

    The answer None resets the connection; a list gives the answers of one use after the other.
    """

    def __init__(self, **answers: str | list[str | None] | None) -> None:
        self._answers = {
            name: [answer] if isinstance(answer, str | None) else list(answer) for name, answer in answers.items()
        }
        self.seen: list[str] = []
        self.contents: list[bytes] = []

    def _answer(self, name: str, usual: str) -> str | None:
        left = self._answers.get(name, [])
        return left.pop(0) if left else usual

    def __call__(self, connection: socket.socket) -> None:
        lines = connection.makefile("rb")
        if not self._say(connection, "GREETING", "220 ready"):
            return
        while line := lines.readline():
            verb = line.split(b" ")[0].strip().decode().upper()
            self.seen.append(line.strip().decode())
            usual = "354 go" if verb == "DATA" else "250 Ok"
            answer = self._say(connection, verb, usual)
            if not answer:
                return
            if verb == "DATA" and answer.startswith("354"):
                content = b""
                while (line := lines.readline()) != b".\r\n":
                    if not line:
                        return
                    content += line
                self.contents.append(content)
                if not self._say(connection, "DOT", "250 Ok 0100-id"):
                    return

    def _say(self, connection: socket.socket, name: str, usual: str) -> str | None:
        answer = self._answer(name, usual)
        if answer is None:
            reset(connection)
            return None
        connection.sendall(answer.encode() + b"\r\n")
        return answer


def to(server: RawServer, seconds: float = 5.0) -> SmtpTransport:
    """Both timeouts are so long."""
    url = f"smtp+plain://127.0.0.1:{server.port}"
    return SmtpTransport(ClientConfig(smtp_url=url, connect_timeout=seconds, read_timeout=seconds))


def test_one_message_is_one_transaction_with_one_recipient() -> None:
    script = Script()
    with RawServer(script) as server, to(server) as transport:
        ses_id = transport.send(a_message(sender='"A <b> c" <news@example.com>', to='"x<y>z"@example.com'))

    assert ses_id == "0100-id"
    assert script.seen[1:] == ["MAIL FROM:<news@example.com>", 'RCPT TO:<"x<y>z"@example.com>', "DATA"]


@pytest.mark.parametrize(
    "body",
    [
        {"text": "Hello."},
        {"text": "x" * 2000},
        {"text": None, "html": "<p>Gr\u00fc\u00dfe</p>"},
        {"text": "Bye\n."},
        {"text": ""},
    ],
    ids=["short", "long", "html", "dot", "empty"],
)
def test_a_body_without_a_line_break_at_its_end_is_finished_by_one(body: dict[str, str | None]) -> None:
    script = Script()
    with RawServer(script) as server, to(server) as transport:
        assert deliver(a_message(**body), transport).kind is Kind.SENT

    assert script.contents[0].endswith(b"\r\n")


def test_lines_that_begin_with_a_dot_are_stuffed() -> None:
    script = Script()
    with RawServer(script) as server, to(server) as transport:
        transport.send(a_message(text=".\n..x\n"))

    assert script.contents[0].endswith(b"\r\n\r\n..\r\n...x\r\n")


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize(
    ("answer", "expected"),
    [("451 Temporary service failure", Kind.FAILED), ("554 Message rejected: x", Kind.REJECTED)],
)
def test_a_refusal_before_the_content_is_not_an_acceptance(verb: str, answer: str, expected: Kind) -> None:
    script = Script(**{verb: answer})
    with RawServer(script) as server, to(server) as transport:
        assert deliver(a_message(), transport).kind is expected
        assert deliver(a_message(), transport).kind is Kind.SENT


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
def test_a_fresh_connection_lost_before_the_content_is_surely_not_sent(verb: str) -> None:
    script = Script(**{verb: None})
    with RawServer(script) as server, to(server) as transport:
        assert deliver(a_message(), transport).kind is Kind.FAILED

    assert script.contents == []


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
def test_a_kept_connection_lost_before_the_content_is_replaced(verb: str) -> None:
    usual = "354 go" if verb == "DATA" else "250 Ok"
    script = Script(**{verb: [usual, None]})
    with RawServer(script) as server, to(server) as transport:
        assert [deliver(a_message(), transport).kind for _ in range(2)] == [Kind.SENT, Kind.SENT]

    assert len(script.contents) == 2


def test_a_connection_lost_after_the_final_dot_is_unknown_and_not_sent_again() -> None:
    script = Script(DOT=["250 Ok 1", None])
    with RawServer(script) as server, to(server) as transport:
        kinds = [deliver(a_message(), transport).kind for _ in range(3)]

    assert kinds == [Kind.SENT, Kind.UNKNOWN, Kind.SENT]
    assert len(script.contents) == 3


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("421 Too many concurrent SMTP connections", Kind.FAILED),
        ("454 Throttling failure: Maximum sending rate exceeded", Kind.THROTTLED),
        ("454 Throttling failure: Daily message quota exceeded", Kind.OVER_QUOTA),
        ("530 Authentication required", Kind.UNFIT),
        ("what?", Kind.UNKNOWN),
    ],
)
def test_the_answer_to_the_content_decides(answer: str, expected: Kind) -> None:
    script = Script(DOT=[answer])
    with RawServer(script) as server, to(server) as transport:
        assert deliver(a_message(), transport).kind is expected
        assert deliver(a_message(), transport).kind is Kind.SENT

    # "421 goodbye" ends the connection, and so does a login that is refused.
    assert len(server.connections) == (2 if answer.startswith(("421", "530")) else 1)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("421 Too many concurrent SMTP connections", Kind.UNREACHABLE),
        ("554 No service for you", Kind.UNFIT),
        ("554 Access denied", Kind.UNFIT),
        (None, Kind.UNREACHABLE),
    ],
)
def test_a_refused_greeting_is_nothing_about_the_message(answer: str | None, expected: Kind) -> None:
    with RawServer(Script(GREETING=answer)) as server, to(server) as transport:
        assert deliver(a_message(), transport).kind is expected


def test_no_mail_goes_out_in_the_clear_when_tls_is_not_offered() -> None:
    script = Script()
    with (
        RawServer(script) as server,
        SmtpTransport(ClientConfig(smtp_url=f"smtp://u:p@127.0.0.1:{server.port}", connect_timeout=0.5)) as transport,
    ):
        assert deliver(a_message(), transport).kind is Kind.UNREACHABLE

    assert not any(line.startswith(("AUTH", "MAIL")) for line in script.seen)


def test_one_message_cannot_take_longer_than_both_timeouts_together() -> None:
    """A server that answers each command just in time."""

    class Slow(Script):
        def _say(self, connection: socket.socket, name: str, usual: str) -> str | None:
            time.sleep(0.35)
            return super()._say(connection, name, usual)

    with RawServer(Slow()) as server, to(server, 0.5) as transport:
        # Greeting and hello take 0.7 s of connecting, the rest would take 1.4 s.
        assert deliver(a_message(), transport).kind is Kind.FAILED


def test_a_kept_connection_that_hangs_leaves_no_time_for_another() -> None:
    """Its lease would have run out while the second one is waited for, and another worker would send it as well."""

    class Hanging(Script):
        def _say(self, connection: socket.socket, name: str, usual: str) -> str | None:
            if name == "MAIL" and self.contents:
                connection.recv(1)  # until the client gives up
                return None
            return super()._say(connection, name, usual)

    script = Hanging()
    with RawServer(script) as server, to(server, 2.0) as transport:
        assert deliver(a_message(), transport).kind is Kind.SENT
        assert deliver(a_message(), transport).kind is Kind.FAILED

    assert len(server.connections) == 1


def test_an_answer_in_drips_is_not_waited_for_beyond_both_timeouts() -> None:
    class Dripping(Script):
        def _say(self, connection: socket.socket, name: str, usual: str) -> str | None:
            if name == "DOT":
                while True:
                    connection.sendall(b"250-still thinking\r\n")
                    time.sleep(0.1)
            return super()._say(connection, name, usual)

    with RawServer(Dripping()) as server, to(server, 2.0) as transport:
        assert deliver(a_message(), transport).kind is Kind.UNKNOWN


def test_implicit_tls_logs_in_and_sends() -> None:
    with Simulator(smtp=False, smtps=True) as simulator:
        host, port = simulator.smtps
        with SmtpTransport(ClientConfig(smtp_url=f"smtps://{host}:{port}", ca_bundle=simulator.ca_file)) as transport:
            assert deliver(a_message(), transport).kind is Kind.SENT


def test_a_session_token_cannot_log_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")

    outcome = deliver(a_message(), SmtpTransport())

    assert (outcome.kind, outcome.code) == (Kind.UNFIT, "TemporaryCredentials")


def test_the_password_is_derived_as_ses_derives_it() -> None:
    assert ses_password(SECRET_KEY, "us-east-1") == "BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9"


def test_a_url_names_server_and_login() -> None:
    assert parse_url("smtp://a%40b:p%2Fw@mail.example.com") == ("smtp", "mail.example.com", 587, "a@b", "p/w")
    assert parse_url("smtps://u:p@mail.example.com:2465").port == 2465
    assert "p4ss" not in repr(parse_url("smtps://u:p4ss@mail.example.com"))


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.example.com",
        "smtp://",
        "smtp://user@mail.example.com",
        "smtp://mail.example.com:port",
        "smtp+plain://mail.example.com",
    ],
)
def test_a_url_that_cannot_be_right_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(SettingsError, match="SMTP URL"):
        SmtpTransport(ClientConfig(smtp_url=url))
