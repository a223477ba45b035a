"""SES's SMTP interface: its replies word for word, refusals after DATA, the same account as the API's.

aiosmtpd does the protocol; this module changes its words into SES's (facts sheet, section 5) and decides after DATA.
"""

from __future__ import annotations

import asyncio
import logging
import re
import string
from typing import TYPE_CHECKING, Any, AnyStr

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from mailer.simulator import mime
from mailer.simulator.address import mailbox
from mailer.simulator.errors import BAD_REQUEST, Refused
from mailer.simulator.faults import Strike
from mailer.simulator.http import reset
from mailer.simulator.inbox import Submission
from mailer.simulator.service import MAX_MESSAGE_BYTES, MAX_RECIPIENTS
from mailer.simulator.trickle import Trickle

if TYPE_CHECKING:
    import ssl

    from mailer.simulator.credentials import SmtpLogins
    from mailer.simulator.faults import Fault
    from mailer.simulator.service import Service

_log = logging.getLogger(__name__)

_HOST = "email-smtp.amazonaws.com"
_OK = "250 Ok"
_TIMEOUT = b"451 4.4.2 Timeout waiting for data from client.\r\n"
_IN_SES_WORDS = {
    "250 OK": _OK,
    "235 2.7.0 Authentication successful": "235 Authentication successful.",
    "535 5.7.8 Authentication credentials invalid": "535 Authentication Credentials Invalid",
    "552 Error: Too much mail data": "552 Message is too long.",
    "552 Error: message size exceeds fixed maximum message size": "552 Message is too long.",
}
_MALFORMED = "553 5.1.3 Error: malformed address"
_AN_ADDRESS = re.compile(r"<[^>]*>|\S+")
_NOT_IN_A_REPLY = re.compile(r"[^\x20-\x7e]")
_IDENT = string.ascii_uppercase + string.digits
_NO_TIMEOUT = 1e6

# It writes a warning for each unknown command and an info line for each command.
logging.getLogger("mail.log").setLevel(logging.ERROR)


class SmtpDoor:
    """Makes a protocol for each connection, and handles what comes through it.

    ``insecure`` drops the demand for TLS and AUTH. ``idle_seconds`` is how long SES waits for the next command.
    """

    def __init__(
        self,
        service: Service,
        logins: SmtpLogins,
        default_region: str,
        context: ssl.SSLContext,
        *,
        insecure: bool,
        idle_seconds: float,
    ) -> None:
        self._service = service
        self._logins = logins
        self._default_region = default_region
        self._context = context
        self._insecure = insecure
        self._idle_seconds = idle_seconds

    def starttls(self) -> SmtpProtocol:
        """For a plain listener: TLS comes by STARTTLS."""
        return self._protocol(tls_context=self._context, require_starttls=not self._insecure)

    def implicit_tls(self) -> SmtpProtocol:
        """For a listener that has TLS already."""
        return self._protocol(tls_context=None, require_starttls=False)

    def _protocol(self, *, tls_context: ssl.SSLContext | None, require_starttls: bool) -> SmtpProtocol:
        random = self._service.random
        name = "".join(random.choices(_IDENT, k=9))
        number = "".join(random.choices(string.ascii_letters + string.digits, k=20))
        return SmtpProtocol(
            self,
            service=self._service,
            hostname=_HOST,
            ident=f"ESMTP SimpleEmailService-d-{name} {number}",
            tls_context=tls_context,
            require_starttls=require_starttls,
            auth_require_tls=False,  # require_starttls sees to it, in SES's words
            authenticator=self._authenticate,
            data_size_limit=MAX_MESSAGE_BYTES,
            timeout=self._idle_seconds,
            loop=asyncio.get_running_loop(),
        )

    def _authenticate(
        self, _server: SMTP, session: Session, _envelope: Envelope, _mechanism: str, login: LoginPassword
    ) -> AuthResult:
        user, password = login.login.decode(errors="replace"), login.password.decode(errors="replace")
        region = self._logins.region(user, password)
        if region is None:
            self._service.refused["credentials"] += 1
            return AuthResult(success=False, handled=False)
        session.region = region
        return AuthResult(success=True, handled=True)

    # aiosmtpd calls these.

    async def handle_EHLO(  # noqa: N802
        self, server: SmtpProtocol, session: Session, _envelope: Envelope, hostname: str, _responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        starttls = ["250-STARTTLS"] if server.tls_context is not None and session.ssl is None else []
        return [f"250-{_HOST}", "250-8BITMIME", *starttls, "250-AUTH PLAIN LOGIN", _OK]

    async def handle_MAIL(  # noqa: N802
        self, _server: SmtpProtocol, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if not (self._insecure or session.authenticated):
            return "530 Authentication required"
        envelope.mail_from = address
        return _OK

    async def handle_DATA(self, server: SmtpProtocol, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """SES refuses here, never at MAIL or RCPT."""
        server.taken()
        service = self._service
        service.requests["SMTP"] += 1
        service.changes += 1
        pause = service.pause()
        fault: Fault | None = None
        strike = Strike()
        # Decided on arrival, answered later: a client that gives up waiting has still sent its mail.
        try:
            submission = self._submission(session, envelope)
            strike = service.faults.strike("send", "smtp", submission.recipients)
            pause += strike.delay
            fault = strike.before
            reply = _OK
            if fault is None:
                reply = f"{_OK} {service.submit(submission)}"
                fault = strike.after
        except Refused as refused:
            service.faults.take_back(strike)
            service.refused[refused.error.kind] += 1
            reply = refused.error.smtp
        if pause > 0:
            await asyncio.sleep(pause)
        return reply if fault is None else await self._struck(server, fault, reply)

    async def handle_exception(self, error: Exception) -> str:
        # What readline() raises for a line of more than a thousand bytes in the middle of AUTH.
        if isinstance(error, ValueError):
            return "500 Command line too long"
        _log.error("SMTP", exc_info=error)
        return "451 Temporary service failure"

    def _submission(self, session: Session, envelope: Envelope) -> Submission:
        content: Any = envelope.original_content
        recipients = tuple(mailbox(address) for address in envelope.rcpt_tos)
        if len(recipients) > MAX_RECIPIENTS:
            raise Refused(BAD_REQUEST.saying(f"Recipient count exceeds {MAX_RECIPIENTS}."))
        sender = mailbox(envelope.mail_from or "")
        message = mime.read(bytes(content or b""))
        if message.sender is None:
            raise Refused(BAD_REQUEST.saying("Missing required header 'From'."))
        return Submission(
            region=getattr(session, "region", self._default_region),
            transport="smtp",
            sender=sender,
            recipients=recipients,
            form="mime",
            data=message.data,
            tags=message.tags,
            configuration_set=message.configuration_set,
        )

    async def _struck(self, server: SmtpProtocol, fault: Fault, reply: str) -> str:
        """What goes out under ``fault``, if anything does."""
        if fault.kind == "error":
            self._service.refused[fault.answer.kind] += 1
            return fault.answer.smtp
        if fault.kind == "malformed":
            return "Ok, more or less"
        if fault.kind == "slow-answer":
            server.answer_slowly(fault.bytes_per_second)
            return reply
        if fault.kind == "close-idle":
            asyncio.get_running_loop().call_soon(server.end)
            return reply
        if fault.kind == "reset":
            server.end(abruptly=True)
        elif fault.kind == "close":
            server.end()
        # The client's leaving, or our own close above, cancels this.
        await asyncio.get_running_loop().create_future()
        return ""


def _in_ses_words(reply: str, address: str) -> str:
    if reply == _MALFORMED:
        reply = f"553 {address} Invalid email address"
    # aiosmtpd repeats an unknown command, and a bare CR in it would begin a line of its own. What a message names may
    # be in any script; a reply is ASCII.
    return _IN_SES_WORDS.get(reply, _NOT_IN_A_REPLY.sub("?", reply))


class SmtpProtocol(SMTP):  # type: ignore[misc]  # aiosmtpd's types are not read, see pyproject.toml
    """One connection, in SES's words."""

    AuthLoginUsernameChallenge = "Username:"
    AuthLoginPasswordChallenge = "Password:"

    def __init__(self, handler: SmtpDoor, *, service: Service, **options: Any) -> None:
        super().__init__(handler, **options)
        self._service = service
        self._counted = False
        self._is_dropped = False
        self._slow_read: Trickle | None = None
        self._in_data = False
        self._is_answering = False
        self._pace: float | None = None
        self._address = ""
        """The last that MAIL or RCPT named, as it was written."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # STARTTLS makes the connection a second time.
        if not self._counted:
            self._counted = True
            self._service.connections_opened["smtp"] += 1
            self._service.connections_open["smtp"] += 1
        super().connection_made(transport)
        if self._is_dropped:
            self.end()

    def connection_lost(self, error: Exception | None) -> None:
        if self._counted:
            self._counted = False
            self._service.connections_open["smtp"] -= 1
        self._service.slow_readers.discard(self)
        if self._slow_read is not None:
            self._slow_read.stop()
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if self._slow_read is not None and self.transport is not None:
            self.transport.pause_reading()
            self._slow_read.feed(data)
        else:
            if self._in_data:
                # Idle is who sends nothing, not who sends a large message.
                self._reset_timeout()
            super().data_received(data)

    def _read_slowly(self) -> None:
        """The message that comes now, if a fault says so."""
        self._in_data = True
        pace = self._service.faults.slow_read("send", "smtp")
        if pace is not None:
            self.hold_timeout()
            self._service.slow_readers.add(self)
            self._slow_read = Trickle(super().data_received, pace, self._read_on)

    def _read_on(self) -> None:
        if not self._in_data:
            self._slow_read = None
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def answer_slowly(self, bytes_per_second: float) -> None:
        """The next reply only."""
        self._pace = bytes_per_second

    def _getaddr(self, argument: str) -> tuple[str | None, str | None]:
        written = _AN_ADDRESS.match(argument.strip())
        self._address = written.group() if written else ""
        try:
            address: tuple[str | None, str | None] = super()._getaddr(argument)
        except IndexError:  # the standard library's parser, on an address that ends too soon
            return None, None
        return address

    async def push(self, status: AnyStr) -> None:
        pace, self._pace = self._pace, None
        reply = _in_ses_words(status, self._address) if isinstance(status, str) else status.decode()
        if reply.startswith("354 "):
            self._read_slowly()
        else:
            self._end_of_data()  # of one refused for its form too, of which nobody else hears
        if pace is not None:
            done = asyncio.Event()
            Trickle(self._writer.write, pace, done.set).feed(reply.encode() + b"\r\n")
            await done.wait()
        else:
            await super().push(reply)
        self._is_answering = False

    def give_up(self) -> None:
        """Read no more of a message that is being read slowly, and close the connection."""
        if self._slow_read is not None:
            self._slow_read.stop()
        self.end(abruptly=True)

    def drop(self) -> None:
        """Close the connection if no message is being taken or answered; one that is not made yet, when it is."""
        if not (self._in_data or self._is_answering):
            self._is_dropped = True
            self.end()

    def taken(self) -> None:
        """The whole message is here, and is answered next."""
        self._is_answering = True
        self._end_of_data()
        self.hold_timeout()

    def _end_of_data(self) -> None:
        self._in_data = False
        self._service.slow_readers.discard(self)
        if self._slow_read is not None and not self._slow_read.is_busy:
            self._slow_read = None

    def hold_timeout(self) -> None:
        """No idle timeout while the answer is being made; the next command starts it again."""
        self._reset_timeout(_NO_TIMEOUT)

    def end(self, *, abruptly: bool = False) -> None:
        """Close the connection: with FIN, or with RST."""
        transport = self._original_transport or self.transport
        if transport is None:
            return
        if abruptly:
            reset(transport)
        else:
            transport.close()
        if self._is_agreeing_on_tls:
            # asyncio takes a transport that closes in a TLS handshake for the handshake's end, and tells nobody.
            self.connection_lost(None)

    @property
    def _is_agreeing_on_tls(self) -> bool:
        return self._original_transport is not None and self.session is not None and self.session.ssl is None

    def _timeout_cb(self) -> None:
        if self._is_agreeing_on_tls:
            self.end()
            return
        if self.transport is not None:
            self._writer.write(_TIMEOUT)
        super()._timeout_cb()
