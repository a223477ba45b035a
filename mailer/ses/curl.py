"""The hot path: SES API v2 over libcurl connections, with a request built and signed by hand.

boto3 takes about 1 ms of processor time for a send, this less than a tenth of it.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import orjson

from mailer.errors import TooLate
from mailer.message import Message
from mailer.ses.access import USUAL, find_access
from mailer.ses.clock import AWS, put_right
from mailer.ses.credentials import PATIENCE_SECONDS, CredentialSource
from mailer.ses.curl_connection import CurlConnection, RequestCutOff, tls_sessions
from mailer.ses.errors import http_error
from mailer.ses.idle import Idle
from mailer.ses.request import SEND_EMAIL_PATH, encode
from mailer.ses.signer import Signer

if TYPE_CHECKING:
    from types import TracebackType

    from mailer.ses.access import Access, Way
    from mailer.ses.http_answer import Answer


_SAMPLE = Message(id="", sender="a@example.com", to="a@example.com", subject="-", text="-")


class CurlTransport:
    """Sends over connections that are kept open; as many as there are concurrent sends.

    The GIL is released while it waits. A send takes at most ``connect_timeout + read_timeout``; the first one also as
    long as it takes to find the way, which is then kept, and the credentials. An HTTP proxy is always asked for a
    tunnel, for plain ``http://`` endpoints as well. Raises what `mailer.ses.transport.Transport` says.
    """

    def __init__(self, way: Way = USUAL) -> None:
        self._way = way
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._route: tuple[Access, Signer, bytes] | None = None
        self._idle = Idle[CurlConnection]()
        self._sessions = tls_sessions()
        self.credentials = CredentialSource()

    def prepare(self, connections: int = 0) -> None:
        """Find the way to SES and the credentials now rather than at the first send, and open so many connections for
        the first sends.

        Raises `HostUnfit` or `Unreachable`.
        """
        self._leave_parents_behind()
        self.request_for(_SAMPLE, PATIENCE_SECONDS)
        for _ in range(connections):
            self._idle.append(self.connect())

    def send(self, message: Message) -> str:
        self._leave_parents_behind()
        return self.ses_id_in(self._exchange(self.request_for(message, PATIENCE_SECONDS)))

    def _leave_parents_behind(self) -> None:
        if self._process != os.getpid():
            # After a fork the connections are the parent's. libcurl takes leave of none that it only connected, so
            # dropping our copies of them says nothing on their TLS.
            self._reset()

    def close(self) -> None:
        self._idle.close()
        self.credentials.close()

    # The parts of a send, for who does many at once on an event loop (`mailer.ses.curl_loop`).

    @property
    def is_ready(self) -> bool:
        """Whether `request_for` does not wait."""
        return self._route is not None

    def request_for(self, message: Message, patience: float = 0.0) -> bytes:
        """The whole signed HTTP request, good for about five minutes. Where no credentials are in force, they are
        waited for so many seconds at most. Raises as `prepare` does.
        """
        _, signer, head = self._route or self._find_route()
        body = encode(message)
        signed = signer.sign(body, self.credentials.current(patience), AWS.now())
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (head, signed, len(body), body)

    def surrender(self) -> list[CurlConnection]:
        """The open connections that no send uses, from now on the caller's."""
        given = list(self._idle)
        self._idle.clear()
        return given

    def connect(self) -> CurlConnection:
        """A new connection; waits until it is made. Raises `Unreachable`."""
        access, _, _ = self._route or self._find_route()
        return CurlConnection(access, self._way, self._sessions)

    def ses_id_in(self, answer: Answer) -> str:
        """SES's MessageId. Raises the `SendError` that any other answer means, having taken to heart what it says of
        our clock and credentials.
        """
        if answer.status == 200:
            ses_id = _message_id(answer.body)
            if ses_id:
                return ses_id
        error = http_error(answer.status, answer.headers, answer.body)
        raise self.credentials.heed(put_right(error, answer.headers.get("date")))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _exchange(self, request: bytes) -> Answer:
        latest = time.monotonic() + self._way.connect_timeout
        reused = self._idle.warm()
        if reused is not None:
            try:
                return self._try(reused, request)
            except RequestCutOff as cut_off:
                # A new connection repeats nothing that SES could have taken. But the answer on it must come before the
                # lease runs out.
                if time.monotonic() > latest:
                    raise cut_off.error from None
        connection = self.connect()
        if time.monotonic() > latest:
            self._idle.append(connection)
            raise too_late()
        try:
            return self._try(connection, request)
        except RequestCutOff as cut_off:
            raise cut_off.error from None

    def _try(self, connection: CurlConnection, request: bytes) -> Answer:
        try:
            answer = connection.exchange(request)
        except BaseException:
            connection.close()
            raise
        if answer.reusable:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _find_route(self) -> tuple[Access, Signer, bytes]:
        with self._lock:
            if self._route is None:
                access = find_access(self._way)
                signer = Signer(access.endpoint_url.rstrip("/") + SEND_EMAIL_PATH, region=access.region)
                head = f"POST {signer.path} HTTP/1.1\r\nHost: {signer.host}\r\nUser-Agent: mailer\r\n"
                self._route = (access, signer, head.encode("ascii"))
            return self._route


def too_late() -> TooLate:
    """The error for a connection that stands when a send should have been under way."""
    return TooLate("TooLate", "there was not enough time left to send it")


def _message_id(body: bytes) -> str | None:
    try:
        parsed: Any = orjson.loads(body)
    except ValueError:
        return None
    ses_id = parsed.get("MessageId") if isinstance(parsed, dict) else None
    return ses_id if isinstance(ses_id, str) else None
