"""SES's SMTP interface, for networks that let only SMTP out.

The final dot of DATA hands a message to SES. If something fails before the dot is sent, SES certainly did not accept
the message. If the connection is lost after the dot, the outcome is unknown. SES reports its limits and refusals after
the dot as well.
"""

from __future__ import annotations

import os
import re
import ssl
import threading
import time
from typing import TYPE_CHECKING

from mailer.errors import HostUnfit, SendError, Unavailable
from mailer.ses.access import USUAL, find_access, find_ca_bundle
from mailer.ses.credentials import PATIENCE_SECONDS, CredentialSource, open_session
from mailer.ses.errors import credentials_error, smtp_error
from mailer.ses.idle import Idle
from mailer.ses.mime import encode
from mailer.ses.smtp_connection import PORTS, Connection, ConnectionLost, Server, parse_url, ses_password
from mailer.ses.transport import Transport

if TYPE_CHECKING:
    from mailer.mail.message import Message
    from mailer.ses.access import Way
    from mailer.ses.signer import Credentials

_DOT_AT_LINE_START = re.compile(rb"^\.", re.MULTILINE)


class SmtpTransport(Transport):
    """Sends over smtplib connections that stay open, one per concurrent send.

    ``smtp_url`` is ``smtp://user:password@host:587`` (STARTTLS, required), ``smtps://...:465`` (TLS from the start) or,
    on loopback only, ``smtp+plain://``. The default is port 587 of SES's endpoint in the Region. Without a user the
    login is derived from the AWS credentials. These must be a long-term key: SES's SMTP interface takes no session
    tokens. When that key is replaced, connections logged in with the old one are not used any more. ``smtp+plain``
    without a user does not log in.

    ``connect_timeout + read_timeout`` after the beginning of a send, nothing of it goes out any more and no wait
    continues. Only the opening of a connection may take longer: up to ``connect_timeout`` for each step. Raises the
    errors of `mailer.ses.transport.Transport`, and `SettingsError` for any other URL.
    """

    def __init__(self, way: Way = USUAL) -> None:
        self._way = way
        self._given = None if way.smtp_url is None else parse_url(way.smtp_url)
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._route: tuple[Server, str, ssl.SSLContext] | None = None
        # The credentials, and the server with their login. The password takes some HMACs to compute.
        self._login: tuple[Credentials, Server] | None = None
        self._idle = Idle[Connection]()
        self.credentials = CredentialSource(self._way.account)

    def send(self, message: Message) -> str:
        try:
            return self._send(message)
        except SendError as error:
            self.credentials.heed(error)
            raise

    def _send(self, message: Message) -> str:
        deadline = time.monotonic() + self._way.connect_timeout + self._way.read_timeout
        data = _DOT_AT_LINE_START.sub(b"..", encode(message))
        content = message.content
        envelope = (content.sender_address, message.recipient.address)
        connection = self._begin(*envelope, deadline, is_ascii=content.is_ascii)
        try:
            code, text = connection.finish(data, deadline)
        except BaseException:
            connection.close()
            raise
        if code == 250:
            self._idle.keep(connection)
            # "Ok <MessageId>"
            return text.rpartition(" ")[2]
        refusal = smtp_error(code, text)
        if code == 421 or isinstance(refusal, HostUnfit):
            # The server is about to close the connection, or does not accept its login any more.
            connection.close()
        else:
            self._idle.keep(connection)
        raise refusal

    def prepare(self, connections: int = 0) -> None:  # noqa: ARG002 - SES closes what is idle for 10 s
        """Find the server and the login. Raises `HostUnfit` or `Unreachable`."""
        if self._process != os.getpid():
            self._reset()
        self._logged_in_server()

    def close(self) -> None:
        self._idle.close()
        self.credentials.close()

    def _begin(self, sender: str, recipient: str, deadline: float, *, is_ascii: bool) -> Connection:
        """A connection that is ready for the content. ``deadline`` is in `time.monotonic` seconds."""
        if self._process != os.getpid():
            # The connections belong to the parent process. Closing our copies of their sockets sends nothing to the
            # server.
            self._reset()
        server, context = self._logged_in_server()
        reused = self._idle.warm()
        while reused is not None and reused.server != server:
            reused.close()
            reused = self._idle.warm()
        if reused is not None:
            try:
                return self._offer(reused, sender, recipient, deadline, is_ascii=is_ascii)
            except ConnectionLost as lost:
                # The content was not offered yet, so a new connection repeats nothing.
                if time.monotonic() >= deadline:
                    raise Unavailable("ConnectionLost", str(lost)) from lost
        fresh = Connection(server, context, self._way.connect_timeout)
        try:
            return self._offer(fresh, sender, recipient, deadline, is_ascii=is_ascii)
        except ConnectionLost as lost:
            raise Unavailable("ConnectionLost", str(lost)) from lost

    def _offer(
        self, connection: Connection, sender: str, recipient: str, deadline: float, *, is_ascii: bool
    ) -> Connection:
        try:
            connection.begin(sender, recipient, deadline, is_ascii=is_ascii)
        except BaseException:
            connection.close()
            raise
        return connection

    def _logged_in_server(self) -> tuple[Server, ssl.SSLContext]:
        """The server, with the login in force."""
        server, region, context = self._route or self._find_route()
        return (self._log_in_as_aws_key(server, region) if region else server), context

    def _find_route(self) -> tuple[Server, str, ssl.SSLContext]:
        """The server, the Region of the AWS key that logs in (empty if no AWS key does), and the TLS context."""
        with self._lock:
            if self._route is None:
                server, region = self._given or Server("smtp", "", PORTS["smtp"]), ""
                if not server.user and server.scheme != "smtp+plain":
                    region = find_access(self._way).region
                    server = server._replace(host=server.host or f"email-smtp.{region}.amazonaws.com")
                try:
                    bundle = find_ca_bundle(open_session(self._way.account), self._way)
                    context = ssl.create_default_context(cafile=bundle)
                except Exception as error:
                    raise credentials_error(error) from error
                self._route = (server, region, context)
            return self._route

    def _log_in_as_aws_key(self, server: Server, region: str) -> Server:
        credentials = self.credentials.current(PATIENCE_SECONDS)
        known = self._login
        if known is None or known[0] is not credentials:
            if credentials.token:
                raise HostUnfit(
                    "TemporaryCredentials",
                    "SES's SMTP takes no session tokens: put a user and a password in the SMTP URL",
                )
            password = ses_password(credentials.secret_key, region)
            known = self._login = (credentials, server._replace(user=credentials.access_key, password=password))
        return known[1]
