"""Many sends at once in the one thread of an event loop.

A thread per send costs more than the send: each wait gives up the GIL and has to win it back. Here a send is a request
written, and an answer read when the loop says that it is there. What could block (name lookup, connecting, a request
larger than the socket's buffer) helper threads do.
"""

from __future__ import annotations

import logging
import math
import select
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from mailer.ses.credentials import PATIENCE_SECONDS
from mailer.ses.curl import CurlTransport, too_late
from mailer.ses.curl_connection import CurlConnection, RequestCutOff

if TYPE_CHECKING:
    from mailer.message import Message
    from mailer.ses.http_answer import Answer

logger = logging.getLogger(__name__)

Done = Callable[[str | Exception], None]
"""Called once, in the loop's thread, with SES's MessageId or the `SendError`. What it raises is logged."""

_HELPERS = 8
_SWEEP_SECONDS = 0.25


class Loop(Protocol):
    """What is asked of the event loop; kombu's ``Hub`` has it."""

    def add_reader(self, fds: int, callback: Callable[..., object], *args: object) -> None: ...
    def remove(self, fd: int) -> None: ...
    def call_soon(self, callback: Callable[[], object]) -> object: ...
    def call_repeatedly(self, delay: float, callback: Callable[[], object]) -> object: ...


@dataclass(slots=True)
class _Send:
    request: bytes = field(repr=False)
    done: Done
    latest: float
    reused: bool = False


class CurlLoop:
    """Sends through ``transport`` on an event loop. Everything but the helpers runs in the loop's thread.

    The same promises as the transport's own `send`: each request goes out once, except that one which was cut off
    before its last byte gets one new connection.
    """

    def __init__(self, transport: CurlTransport) -> None:
        self._transport = transport
        self._loop: Loop | None = None
        self._helpers = ThreadPoolExecutor(_HELPERS, thread_name_prefix="connect")
        # What helpers have finished, to be taken up by the loop's thread.
        self._finished: deque[Callable[[], None]] = deque()
        self._sends: dict[CurlConnection, _Send] = {}
        # Those of the connections in use that a helper reads and writes, and nobody else may.
        self._helped: set[CurlConnection] = set()
        self._waiting = 0
        # Last in, first out: at low rates the few warm connections are used and the others age out.
        self._idle = transport.surrender()

    @property
    def in_flight(self) -> int:
        """Sends begun whose ``done`` has not been called."""
        return len(self._sends) + self._waiting

    def attach(self, loop: Loop) -> None:
        """Run on ``loop`` from now on; again after the loop was reset, which forgets its readers."""
        self._loop = loop
        for connection in (*self._own(), *self._idle):
            loop.add_reader(connection.socket, self._readable, connection)
        loop.call_repeatedly(_SWEEP_SECONDS, self._sweep)

    def send(self, message: Message | bytes, done: Done, latest: float = math.inf) -> None:
        """Begin a send, which ends with a call of ``done``: perhaps before this returns. Never raises.

        ``message`` may be what `request_for` has made of it. After ``latest``, on the monotonic clock, nothing of it
        goes out any more.
        """
        if isinstance(message, bytes):
            self._start(message, done, latest)
        elif self._transport.is_ready:
            try:
                request: bytes | Exception = self._transport.request_for(message)
            except Exception as error:  # noqa: BLE001 - every send ends with a call of done
                request = error
            self._start(request, done, latest)
        else:
            self.help(lambda: self.request_for(message), lambda made: self._start(made, done, latest))

    def request_for(self, message: Message) -> bytes:
        """The request for a message, for helpers: it may wait. Raises a `SendError`."""
        return self._transport.request_for(message, PATIENCE_SECONDS)

    def help(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Have a helper do ``work`` and the loop's thread call ``then`` with its result or exception. It counts as a
        send in flight until then.
        """
        self._waiting += 1

        def finished(result: Any) -> None:
            self._waiting -= 1
            then(result)

        self._help(work, finished)

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Have the loop's thread call it, after all that it was told to before. From any thread."""
        self._finished.append(callback)
        loop = self._loop
        if loop is not None:
            loop.call_soon(self._take_up)

    def drain(self, seconds: float) -> None:
        """Without the loop, which has stopped: finish what is in flight, for at most so long."""
        deadline = time.monotonic() + seconds
        self._loop = None
        while self.in_flight and time.monotonic() < deadline:
            poll = select.poll()
            by_socket = {connection.socket: connection for connection in self._own()}
            for socket in by_socket:
                poll.register(socket, select.POLLIN)
            for socket, _ in poll.poll(20):
                self._readable(by_socket[socket])
            self._take_up()
            self._sweep()
        self._helpers.shutdown(wait=False, cancel_futures=True)

    # -- one send

    def _own(self) -> list[CurlConnection]:
        """The connections in use that the loop's thread reads."""
        return [connection for connection in self._sends if connection not in self._helped]

    def _start(self, request: bytes | Exception, done: Done, latest: float) -> None:
        if isinstance(request, Exception):
            _end(done, request)
            return
        send = _Send(request, done, latest)
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_stale():
                send.reused = True
                self._begin(connection, send)
                return
            self._drop(connection)
        self._connect(send)

    def _begin(self, connection: CurlConnection, send: _Send) -> None:
        if time.monotonic() > send.latest:
            # Connecting took long, or this process stood still.
            self._idle.append(connection)
            _end(send.done, too_late())
            return
        self._sends[connection] = send
        try:
            connection.begin(send.request)
            connection.advance()
        except Exception as error:  # noqa: BLE001
            self._failed(connection, error)
            return
        if connection.sending:
            self._unwatch(connection)
            self._helped.add(connection)
            self._help(connection.finish, lambda result: self._finish(connection, result))

    def _readable(self, connection: CurlConnection) -> None:
        if connection not in self._sends:
            # An idle connection says something unasked: most often that it is closed.
            if connection in self._idle and connection.is_stale():
                self._idle.remove(connection)
                self._drop(connection)
            return
        try:
            answer = connection.advance()
        except Exception as error:  # noqa: BLE001
            self._failed(connection, error)
            return
        if answer is not None:
            self._answered(connection, answer)

    def _finish(self, connection: CurlConnection, result: Answer | Exception) -> None:
        self._helped.discard(connection)
        self._watch(connection)
        if isinstance(result, Exception):
            self._failed(connection, result)
        else:
            self._answered(connection, result)

    def _answered(self, connection: CurlConnection, answer: Answer) -> None:
        send = self._sends.pop(connection)
        if answer.reusable:
            self._idle.append(connection)
        else:
            self._drop(connection)
        try:
            result: str | Exception = self._transport.ses_id_in(answer)
        except Exception as error:  # noqa: BLE001
            result = error
        _end(send.done, result)

    def _failed(self, connection: CurlConnection, error: Exception) -> None:
        send = self._sends.pop(connection)
        self._drop(connection)
        if isinstance(error, RequestCutOff):
            if send.reused:
                # A new connection repeats nothing that SES could have taken.
                send.reused = False
                self._connect(send)
                return
            error = error.error
        _end(send.done, error)

    def _connect(self, send: _Send) -> None:
        def connected(result: CurlConnection | Exception) -> None:
            if isinstance(result, Exception):
                _end(send.done, result)
            else:
                self._watch(result)
                self._begin(result, send)

        self.help(self._transport.connect, connected)

    def _sweep(self) -> None:
        """End the sends that are out of time."""
        now = time.monotonic()
        for connection in [each for each in self._own() if each.deadline < now]:
            # The answer may have come while the loop was away.
            self._readable(connection)
            if connection in self._sends:
                self._failed(connection, connection.out_of_time())

    # -- helpers and sockets

    def _help(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Have a helper do ``work`` and the loop's thread call ``then`` with its result or exception."""

        def finished(future: Future[Any]) -> None:
            result = future.exception() or future.result()
            self.call_soon(lambda: then(result))

        self._helpers.submit(work).add_done_callback(finished)

    def _take_up(self) -> None:
        while self._finished:
            self._finished.popleft()()

    def _watch(self, connection: CurlConnection) -> None:
        if self._loop is not None:
            self._loop.add_reader(connection.socket, self._readable, connection)

    def _unwatch(self, connection: CurlConnection) -> None:
        if self._loop is not None:
            self._loop.remove(connection.socket)

    def _drop(self, connection: CurlConnection) -> None:
        self._unwatch(connection)
        connection.close()


def _end(done: Done, result: str | Exception) -> None:
    """A completion that breaks off must not end the others, which the same thread reads."""
    try:
        done(result)
    except Exception:
        logger.exception("A send has ended, and its completion broke off")
