"""Building blocks of a send over libcurl: way, credentials, request, connection, response. Any driver can use them."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import orjson

from mailer.ses.access import USUAL, find_access
from mailer.ses.clock import AWS, put_right
from mailer.ses.credentials import CredentialSource
from mailer.ses.curl.connection import CurlConnection, tls_sessions
from mailer.ses.curl.exchange import Exchange
from mailer.ses.errors import http_error
from mailer.ses.idle import Idle
from mailer.ses.request import SEND_EMAIL_PATH, encode
from mailer.ses.signer import Signer
from mailer.ses.transport import Transport

if TYPE_CHECKING:
    from mailer.mail.message import Message
    from mailer.ses.access import Access, Way


class Parts(Transport):
    """The parts. Safe to share between threads. They keep all idle connections in one place."""

    def __init__(self, way: Way = USUAL) -> None:
        self._way = way
        self.read_timeout = way.read_timeout
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._route: tuple[Access, Signer, bytes] | None = None
        self.idle = Idle[CurlConnection]()
        self._sessions = tls_sessions()
        self.credentials = CredentialSource(self._way.account)

    def leave_parents_behind(self) -> None:
        if self._process != os.getpid():
            # After a fork the connections belong to the parent process. libcurl sends no goodbye on a connection that
            # it only connected, so closing our copies does not disturb the parent's TLS.
            self._reset()

    @property
    def is_ready(self) -> bool:
        """Whether `request_for` returns without waiting."""
        return self._route is not None

    def request_for(self, message: Message, patience: float = 0.0) -> bytes:
        """The whole signed HTTP request, valid for about five minutes. If no credentials are in force, it waits up to
        ``patience`` seconds for them. Raises the errors of `prepare`.
        """
        _, signer, head = self._route or self._find_route()
        body = encode(message)
        signed = signer.sign(body, self.credentials.current(patience), AWS.now())
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (head, signed, len(body), body)

    def connect(self) -> CurlConnection:
        """Open a new connection, and wait until it is open. Raises `Unreachable`."""
        access, _, _ = self._route or self._find_route()
        return CurlConnection(access, self._way, self._sessions)

    def ses_id_of(self, exchange: Exchange) -> str:
        """SES's MessageId. Raises the `SendError` for any other result. Our clock and credentials learn from SES's
        response first.
        """
        answer = exchange.result
        if isinstance(answer, Exception):
            raise answer
        if answer.status == 200:
            ses_id = _message_id(answer.body)
            if ses_id:
                return ses_id
        error = http_error(answer.status, answer.headers, answer.body)
        raise self.credentials.heed(put_right(error, answer.headers.get("date")))

    def _find_route(self) -> tuple[Access, Signer, bytes]:
        with self._lock:
            if self._route is None:
                access = find_access(self._way)
                signer = Signer(access.endpoint_url.rstrip("/") + SEND_EMAIL_PATH, region=access.region)
                head = f"POST {signer.path} HTTP/1.1\r\nHost: {signer.host}\r\nUser-Agent: mailer\r\n"
                self._route = (access, signer, head.encode("ascii"))
            return self._route


def _message_id(body: bytes) -> str | None:
    try:
        parsed: Any = orjson.loads(body)
    except ValueError:
        return None
    ses_id = parsed.get("MessageId") if isinstance(parsed, dict) else None
    return ses_id if isinstance(ses_id, str) else None
