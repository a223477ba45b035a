"""SES's SMTP interface, for networks that let only SMTP out.

The final dot of DATA hands a message to SES. If something fails before the dot is sent, SES certainly did not accept
the message. If the connection is lost after the dot, the outcome is unknown. SES reports its limits and refusals after
the dot as well.
"""

from __future__ import annotations

import re
import ssl
import time
from typing import TYPE_CHECKING

from mailer.errors import HostUnfit, Unavailable
from mailer.ses.access import USUAL, find_access, find_ca_bundle
from mailer.ses.credentials import PATIENCE_SECONDS, open_session
from mailer.ses.errors import smtp_error
from mailer.ses.idle import Idle
from mailer.ses.mime import encode
from mailer.ses.smtp_connection import PORTS, Connection, ConnectionLost, Server, parse_url, ses_password
from mailer.ses.transport import Transport

if TYPE_CHECKING:
    from mailer.mail.message import Message
    from mailer.ses.access import ClientConfig

_DOT_AT_LINE_START = re.compile(rb"^\.", re.MULTILINE)


class SmtpTransport(Transport):
    """Sends over smtplib connections that stay open, one per concurrent send.

    ``smtp_url`` is ``smtp://user:password@host:587`` (STARTTLS, required), ``smtps://...:465`` (TLS from the start) or,
    on loopback only, ``smtp+plain://``. The default is port 587 of SES's endpoint in the Region. Without a user the
    login is derived from the AWS credentials. These must be a long-term key: SES's SMTP interface takes no session
    tokens. When that key is replaced, connections logged in with the old one are not used any more. ``smtp+plain``
    without a user does not log in.

    ``connect_timeout + read_timeout`` after the beginning of a send, nothing of it goes out any more and no wait
    continues. Only the opening of a connection may take longer: up to ``connect_timeout`` for each step. The
    constructor raises `SettingsError` for any other URL.
    """

    def __init__(self, config: ClientConfig = USUAL) -> None:
        self._given = None if config.smtp_url is None else parse_url(config.smtp_url)
        super().__init__(config)

    def _reset(self) -> None:
        super()._reset()
        self._idle = Idle[Connection]()

    def _send(self, message: Message) -> str:
        deadline = time.monotonic() + self.config.connect_timeout + self.config.read_timeout
        data = _DOT_AT_LINE_START.sub(b"..", encode(message))
        connection = self._begin(message, deadline)
        usable = False
        try:
            code, text = connection.finish(data, deadline)
            refusal = None if code == 250 else smtp_error(code, text)
            # After 421 the server closes the connection. A host that is unfit needs another login.
            usable = code != 421 and not isinstance(refusal, HostUnfit)
        finally:
            self._idle.release(connection, usable=usable)
        if refusal is not None:
            raise refusal
        # "Ok <MessageId>"
        return text.rpartition(" ")[2]

    def _prepare(self, connections: int) -> None:  # noqa: ARG002 - SES closes what is idle for 10 s
        self._logged_in_server()

    def close(self) -> None:
        super().close()
        self._idle.close()

    def _begin(self, message: Message, deadline: float) -> Connection:
        """A connection that is ready for the content. ``deadline`` is in `time.monotonic` seconds."""
        content, recipient = message.content, message.recipient.address
        server, context = self._logged_in_server()
        kept = self._idle.warm()
        while kept is not None and kept.server != server:
            kept.close()
            kept = self._idle.warm()
        while True:
            connection = kept or Connection(server, context, self.config.connect_timeout)
            try:
                connection.begin(content.sender_address, recipient, deadline, is_ascii=content.is_ascii)
            except BaseException as error:
                connection.close()
                if not isinstance(error, ConnectionLost):
                    raise
                if kept is None or time.monotonic() >= deadline:
                    raise Unavailable("ConnectionLost", str(error)) from error
                # The content was not offered yet, so a new connection repeats nothing.
                kept = None
            else:
                return connection

    def _set_up(self) -> tuple[Server, str, ssl.SSLContext]:
        """The server, the Region of the AWS key that logs in (empty if no AWS key does), and the TLS context."""
        server, region = self._given or Server("smtp", "", PORTS["smtp"]), ""
        if not server.user and server.scheme != "smtp+plain":
            region = find_access(self.config).region
            server = server._replace(host=server.host or f"email-smtp.{region}.amazonaws.com")
        bundle = find_ca_bundle(open_session(self.config.account), self.config)
        return server, region, ssl.create_default_context(cafile=bundle)

    def _logged_in_server(self) -> tuple[Server, ssl.SSLContext]:
        """The server, with the login in force."""
        server, region, context = self._shared()
        if not region:
            return server, context
        credentials = self.credentials.current(PATIENCE_SECONDS)
        if credentials.token:
            raise HostUnfit(
                "TemporaryCredentials", "SES's SMTP takes no session tokens: put a user and a password in the SMTP URL"
            )
        password = ses_password(credentials.secret_key, region)
        return server._replace(user=credentials.access_key, password=password), context
