"""SES's SMTP interface: its exact replies, refusals after DATA, and the same account as the API.

aiosmtpd does the protocol. This module translates its replies into SES's (facts sheet, section 5) and decides after
DATA.
"""

from __future__ import annotations

import asyncio
import logging
import string
import sys
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from mailer.simulator import mime
from mailer.simulator.address import mailbox
from mailer.simulator.attempt import Attempt
from mailer.simulator.errors import BAD_REQUEST, Refused
from mailer.simulator.inbox import Submission
from mailer.simulator.service import MAX_MESSAGE_BYTES, MAX_RECIPIENTS
from mailer.simulator.wire.credentials import SmtpLogins
from mailer.simulator.wire.smtp_connection import SmtpProtocol

if TYPE_CHECKING:
    import ssl

    from mailer.simulator.fault import Fault
    from mailer.simulator.service import Service
    from mailer.simulator.wire.crowd import Crowd
    from mailer.simulator.wire.reading import Budget
    from mailer.simulator.wire.strangers import Strangers

_log = logging.getLogger(__name__)

_HOST = "email-smtp.amazonaws.com"
_OK = "250 Ok"
_MOST_NAMED = 1000  # recipients; over fifty are refused once the message is complete
_MOST_AUTH = 10
_IDENT = string.ascii_uppercase + string.digits

# aiosmtpd logs a warning for each unknown command and an info line for each command.
logging.getLogger("mail.log").setLevel(logging.ERROR)


class SmtpDoor:
    """Makes a protocol for each connection, and handles its commands.

    ``crowd`` limits the connections, and ``budget`` the bytes held for all of them.
    """

    def __init__(
        self, service: Service, context: ssl.SSLContext, strangers: Strangers, crowd: Crowd, budget: Budget
    ) -> None:
        self._service = service
        self._options = service.options
        self._logins = SmtpLogins(service.secrets, service.options.region)
        self._context = context
        self.strangers = strangers
        self.crowd = crowd
        self.budget = budget

    def starttls(self) -> SmtpProtocol:
        """A connection on a plain listener. The client starts TLS by STARTTLS."""
        return self._protocol(tls_context=self._context, require_starttls=not self._options.smtp_insecure)

    def implicit_tls(self) -> SmtpProtocol:
        """A connection on a listener that already has TLS."""
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
            auth_require_tls=False,  # require_starttls does this, in SES's words
            authenticator=self._authenticate,
            data_size_limit=MAX_MESSAGE_BYTES,
            command_call_limit={"AUTH": _MOST_AUTH, "*": sys.maxsize},
            timeout=self._options.smtp_idle_seconds,
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

    # Methods that aiosmtpd calls

    async def handle_EHLO(  # noqa: N802
        self, server: SmtpProtocol, session: Session, _envelope: Envelope, hostname: str, _responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        starttls = ["250-STARTTLS"] if server.tls_context is not None and session.ssl is None else []
        return [f"250-{_HOST}", "250-8BITMIME", *starttls, "250-AUTH PLAIN LOGIN", _OK]

    async def handle_MAIL(  # noqa: N802
        self, _server: SmtpProtocol, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if not (self._options.smtp_insecure or session.authenticated):
            return "530 Authentication required"
        envelope.mail_from = address
        return _OK

    async def handle_RCPT(  # noqa: N802
        self, _server: SmtpProtocol, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= _MOST_NAMED:
            return "452 Too many recipients"
        envelope.rcpt_tos.append(address)
        return _OK

    async def handle_DATA(self, server: SmtpProtocol, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Answer the message. SES refuses here, never at MAIL or RCPT."""
        server.taken()
        service = self._service
        service.requests["SMTP"] += 1
        pause = service.pause()
        # The decision comes on arrival, the answer later: the mail of a client that stops waiting is still sent.
        try:
            submission = self._submission(session, envelope)
        except Refused as refused:
            attempt: Attempt[str] = Attempt(error=service.refuse(refused.error))
        else:
            attempt = service.attempt(
                "send",
                "smtp",
                submission.region,
                lambda: service.submit(submission),
                recipients=submission.recipients,
            )
        if pause + attempt.delay > 0:
            await asyncio.sleep(pause + attempt.delay)
        reply = f"{_OK} {attempt.taken or ''}".rstrip() if attempt.error is None else attempt.error.smtp
        return reply if attempt.fault is None else await self._spoilt(server, attempt.fault, reply)

    async def handle_exception(self, error: Exception) -> str:
        # readline() raises ValueError for a line of more than a thousand bytes during AUTH.
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
            region=getattr(session, "region", self._options.region),
            transport="smtp",
            sender=sender,
            recipients=recipients,
            form="mime",
            data=message.data,
            tags=message.tags,
            configuration_set=message.configuration_set,
        )

    async def _spoilt(self, server: SmtpProtocol, fault: Fault, reply: str) -> str:
        """The reply under ``fault``. Never returns if the fault allows no reply."""
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
        # The end of the connection, by the client or by the lines above, cancels this.
        await asyncio.get_running_loop().create_future()
        return ""
