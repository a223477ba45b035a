"""One logged-in connection to an SMTP server, and its address and login from a URL or AWS credentials."""

from __future__ import annotations

import io
import select
import smtplib
import socket
import time
from base64 import b64encode
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from mailer.errors import (
    Denied,
    HostUnfit,
    OutcomeUnknown,
    Rejected,
    SendError,
    SettingsError,
    Unavailable,
    Unreachable,
)
from mailer.guard import is_loopback
from mailer.ses.errors import smtp_error
from mailer.ses.signer import derive_key

if TYPE_CHECKING:
    import ssl

PORTS = {"smtp": 587, "smtps": 465, "smtp+plain": 25}
"""The schemes and their default ports."""

# SES closes connections after about ten idle seconds.
_IDLE_SECONDS = 8.0
# SES balances its endpoint by DNS. Reconnect now and then to follow it.
_LIFETIME_SECONDS = 300.0


class Server(NamedTuple):
    """The server and the login. ``smtp`` is STARTTLS, ``smtps`` TLS from the start, ``smtp+plain`` no TLS."""

    scheme: str
    host: str
    port: int
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"Server({self.scheme}://{self.user}:***@{self.host}:{self.port})"


def parse_url(url: str) -> Server:
    """The server of ``smtp://user:password@host:port``, ``smtps://`` or ``smtp+plain://``. User and password are
    percent-encoded.

    Raises `SettingsError` for another scheme, no host, half a login, or ``smtp+plain`` to another machine.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise SettingsError("the SMTP URL has a port that is not a number") from None
    host = parts.hostname or ""
    if parts.scheme not in PORTS or not host:
        raise SettingsError("the SMTP URL must be smtp://user:password@host:587 or smtps://user:password@host:465")
    if bool(parts.username) != bool(parts.password):
        raise SettingsError("the SMTP URL must have both a user and a password, or neither")
    if parts.scheme == "smtp+plain" and not is_loopback(host):
        raise SettingsError(
            f"the SMTP URL would send mail and password to {host} in the clear: use smtp:// or smtps://"
        )
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Server(parts.scheme, host, port or PORTS[parts.scheme], user, password)


@lru_cache(maxsize=4)  # each send asks
def ses_password(secret_key: str, region: str) -> str:
    """The SMTP password that belongs to an AWS secret access key in one Region.

    The algorithm is in SES's developer guide, "Obtaining Amazon SES SMTP credentials by converting existing
    AWS credentials": the date is a constant, and the first byte is the version, 4.
    """
    key = derive_key(secret_key, "11111111", region, "ses", "aws4_request", "SendRawEmail")
    return b64encode(b"\x04" + key).decode("ascii")


class ConnectionLost(Exception):
    """The connection broke before any content went out. Only this file and the transport use it."""


class Connection:
    """Connected and logged in. One thread at a time may use it.

    ``timeout`` (seconds) limits each step of connecting. The constructor raises `Unreachable`, `HostUnfit`,
    `AccountStopped` or a throttle: no message is involved yet.
    """

    def __init__(self, server: Server, context: ssl.SSLContext, timeout: float) -> None:
        self.server = server
        self._opened = self._used = time.monotonic()
        try:
            self._smtp = _connect(server, context, timeout)
        except smtplib.SMTPResponseException as error:
            refusal = _refusal(error.smtp_code, error.smtp_error)
            # The server refused at the greeting, hello or login: it would refuse every message of this host.
            if isinstance(refusal, Denied | Rejected):
                raise HostUnfit(refusal.code, refusal.detail) from error
            if isinstance(refusal, Unavailable):
                raise Unreachable(refusal.code, refusal.detail) from error
            raise refusal from error
        except (smtplib.SMTPException, OSError) as error:
            raise Unreachable(type(error).__name__, str(error)) from error
        self._socket: socket.socket = self._smtp.sock  # type: ignore[assignment]  # it is connected
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._replies = _Replies(self._socket)
        self._smtp.file = io.BufferedReader(self._replies)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def is_stale(self) -> bool:
        """Idle or open for too long, or the server has sent something unasked, such as a goodbye."""
        now = time.monotonic()
        old = now - self._used > _IDLE_SECONDS or now - self._opened > _LIFETIME_SECONDS
        return old or bool(self._poll.poll(0))

    def begin(self, sender: str, recipient: str, deadline: float, *, is_ascii: bool = True) -> None:
        """Send MAIL, RCPT and DATA, up to the server's "go ahead". ``deadline`` is in `time.monotonic` seconds.

        Raises `ConnectionLost`, or the error for the server's refusal. After either the connection is unusable. Raises
        `Rejected` if the content is not ASCII and the server takes only ASCII.
        """
        if not is_ascii and not self._smtp.has_extn("8bitmime"):
            raise Rejected(
                "EightBit", "the mail is not ASCII, and the SMTP server offers no 8BITMIME. Encode its parts in base64"
            )
        for command, go_ahead in (
            (f"MAIL FROM:<{sender}>" + ("" if is_ascii else " BODY=8BITMIME"), 250),
            (f"RCPT TO:<{recipient}>", 250),
            ("DATA", 354),
        ):
            try:
                self._limit(deadline)
                code, text = self._smtp.docmd(command)
            except (smtplib.SMTPException, OSError) as error:
                raise ConnectionLost(f"{type(error).__name__} at {command[:4]}: {error}") from error
            if code != go_ahead:
                raise _refusal(code, text)

    def finish(self, content: bytes, deadline: float) -> tuple[int, str]:
        """Send the content (dot-stuffed, ending in CRLF) and the final dot. Returns the server's last reply.

        Raises `Unavailable` if the connection broke before the dot, `OutcomeUnknown` if after it.
        """
        try:
            self._limit(deadline)
            self._smtp.send(content)
            self._limit(deadline)
        except (smtplib.SMTPException, OSError) as error:
            raise Unavailable(type(error).__name__, f"lost in the middle of the content: {error}") from error
        try:
            self._smtp.send(b".\r\n")
            code, text = self._smtp.getreply()
        except (smtplib.SMTPException, OSError) as error:
            raise OutcomeUnknown(type(error).__name__, f"no answer after the content: {error}") from error
        self._used = time.monotonic()
        return code, text.decode("utf-8", "replace")

    def close(self) -> None:
        self._smtp.close()

    def _limit(self, deadline: float) -> None:
        """Limit the waits of the next step to the deadline. Raises TimeoutError after it."""
        self._replies.deadline = deadline
        _wait_until(deadline, self._socket)


class _Replies(io.RawIOBase):
    """The server's replies, read until a deadline. A timeout of the socket, or of a file over it, starts again with
    each byte.
    """

    def __init__(self, connected: socket.socket) -> None:
        self.deadline = 0.0
        self._socket = connected

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        _wait_until(self.deadline, self._socket)
        return self._socket.recv_into(buffer)


def _wait_until(deadline: float, connected: socket.socket) -> None:
    left = deadline - time.monotonic()
    # Never zero: zero makes the socket non-blocking.
    if left <= 0:
        raise TimeoutError("timed out")
    connected.settimeout(left)


def _connect(server: Server, context: ssl.SSLContext, timeout: float) -> smtplib.SMTP:
    # Without a name smtplib asks the DNS for one, which can take seconds.
    name = socket.gethostname() or "localhost"
    if server.scheme == "smtps":
        smtp: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, name, timeout=timeout, context=context)
    else:
        smtp = smtplib.SMTP(server.host, server.port, name, timeout=timeout)
    try:
        if server.scheme == "smtp":
            # Raises if the server does not offer TLS: mail and password never go out in the clear instead.
            smtp.starttls(context=context)
        if server.user:
            smtp.login(server.user, server.password)
        else:
            smtp.ehlo_or_helo_if_needed()
    except BaseException:
        smtp.close()
        raise
    return smtp


def _refusal(code: int, text: bytes | str) -> SendError:
    """The error for a reply before the content. Nothing can have been accepted, even if the reply is unknown."""
    error = smtp_error(code, text.decode("utf-8", "replace") if isinstance(text, bytes) else text)
    return Unavailable(error.code, error.detail) if isinstance(error, OutcomeUnknown) else error
