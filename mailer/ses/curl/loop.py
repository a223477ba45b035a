"""Many sends at once in the one thread of an event loop.

A thread per send costs more than the send: each wait gives up the GIL and has to win it back. Here a send writes a
request, and reads the response when the loop reports that it has arrived. Helper threads do everything that could
block: name lookup, connecting, a request larger than the socket's buffer.
"""

from __future__ import annotations

import logging
import math
import select
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from mailer.ses.credentials import PATIENCE_SECONDS
from mailer.ses.curl.connection import CurlConnection
from mailer.ses.curl.exchange import Exchange

if TYPE_CHECKING:
    from mailer.mail.message import Message
    from mailer.ses.curl.transport import CurlTransport

logger = logging.getLogger(__name__)

_HELPERS = 8
_SWEEP_SECONDS = 0.25

Done = Callable[[str | Exception], None]
"""Called once, in the loop's thread, with SES's MessageId or the `SendError`. Its exceptions are logged."""


class Loop(Protocol):
    """The required methods of the event loop. kombu's ``Hub`` has them."""

    def add_reader(self, fds: int, callback: Callable[..., object], *args: object) -> None: ...
    def remove(self, fd: int) -> None: ...
    def call_soon(self, callback: Callable[[], object]) -> object: ...
    def call_repeatedly(self, delay: float, callback: Callable[..., object], *args: object) -> object: ...


class CurlLoop:
    """Sends on an event loop. Everything but the helpers runs in the loop's thread.

    This class runs every callback through `_call`, and the loop calls only that. So no defect, here or in a callback,
    reaches the loop. The loop would take it for the loss of one of its own connections, or end.
    """

    def __init__(self, transport: CurlTransport) -> None:
        self._transport = transport
        self._loop: Loop | None = None
        self._helpers = ThreadPoolExecutor(_HELPERS, thread_name_prefix="connect")
        # Results of the helpers, for the loop's thread to process.
        self._finished: deque[Callable[[], None]] = deque()
        self._sends: dict[CurlConnection, tuple[Exchange, Done]] = {}
        # The connections in use by a helper. Only the helper may read and write them.
        self._helped: set[CurlConnection] = set()
        self._watched: set[CurlConnection] = set()
        self._waiting = 0  # work of helpers that the loop's thread has not taken up yet

    @property
    def in_flight(self) -> int:
        """The number of sends that have begun and whose ``done`` was not called yet."""
        return len(self._sends) - len(self._helped) + self._waiting

    def attach(self, loop: Loop) -> None:
        """Run on ``loop`` from now on. Call it again after the loop was reset: a reset loop forgets its readers."""
        self._loop = loop
        self._watched.clear()
        for connection in (*self._own(), *self._transport.idle):
            self._watch(connection)
        loop.call_repeatedly(_SWEEP_SECONDS, self._call, self._sweep)
        # A loop that broke off has forgotten its pending calls.
        loop.call_soon(self._take_up)

    def begin(self, message: Message | bytes, done: Done, latest: float = math.inf) -> None:
        """Begin a send. It ends with a call of ``done``, perhaps before this returns. Never raises.

        ``message`` may be the result of `request_for`. After ``latest``, on the monotonic clock, nothing of it goes out
        any more.
        """
        if isinstance(message, bytes):
            self._start(done, latest, message)
        elif self._transport.is_ready:
            self._start(done, latest, _result_of(self._transport.request_for, message))
        else:
            self.help(partial(self.request_for, message), partial(self._start, done, latest))

    def request_for(self, message: Message) -> bytes:
        """The request for a message. It may wait: call it from helpers. Raises a `SendError`."""
        return self._transport.request_for(message, PATIENCE_SECONDS)

    def help(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Have a helper run ``work``, and the loop's thread call ``then`` with its result or exception. Until then it
        counts as a send in flight.
        """
        self._waiting += 1

        def finished(result: Any) -> None:
            self._waiting -= 1
            then(result)

        def hand_over(future: Future[Any]) -> None:
            self.call_soon(partial(finished, future.exception() or future.result()))

        try:
            self._helpers.submit(work).add_done_callback(hand_over)
        except RuntimeError as error:  # no thread can be started, or the executor was shut down
            self.call_soon(partial(finished, error))

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Have the loop's thread call ``callback``, after all earlier ones. May be called from any thread."""
        self._finished.append(callback)
        loop = self._loop
        if loop is not None:
            loop.call_soon(self._take_up)

    def drain(self, seconds: float) -> None:
        """Finish the sends in flight without the loop, which has stopped, for at most ``seconds``."""
        deadline = time.monotonic() + seconds
        self._loop = None
        while self.in_flight and time.monotonic() < deadline:
            poll = select.poll()
            by_socket = {connection.socket: connection for connection in self._own()}
            for socket in by_socket:
                poll.register(socket, select.POLLIN)
            for socket, _ in poll.poll(20):
                self._call(self._readable, by_socket[socket])
            self._take_up()
            self._call(self._sweep)
        self._helpers.shutdown(wait=False, cancel_futures=True)

    # -- one send

    def _own(self) -> list[CurlConnection]:
        """The connections in use that the loop's thread reads."""
        return [connection for connection in self._sends if connection not in self._helped]

    def _start(self, done: Done, latest: float, request: bytes | Exception) -> None:
        if isinstance(request, Exception):
            self._call(done, request)
        else:
            self._connect(Exchange(request, latest, self._transport.config.read_timeout), done)

    def _connect(self, exchange: Exchange, done: Done) -> None:
        kept = self._transport.idle.warm() if exchange.takes_kept else None
        if kept is None:
            self.help(self._transport.connect, partial(self._connected, exchange, done, False))
        else:
            self._connected(exchange, done, True, kept)

    def _connected(self, exchange: Exchange, done: Done, kept: bool, connection: CurlConnection | Exception) -> None:
        if isinstance(connection, Exception):
            self._call(done, connection)
            return
        if connection not in self._watched:
            self._watch(connection)
        self._sends[connection] = exchange, done
        exchange.connected(time.monotonic(), kept=kept)
        connection.carry(exchange)
        if exchange.state == "sending":
            self._unwatch(connection)
            self._helped.add(connection)
            self.help(partial(connection.finish, exchange), partial(self._finished_by_helper, connection))
        elif exchange.state != "waiting":
            self._go_on(connection)

    def _finished_by_helper(self, connection: CurlConnection, failure: Exception | None) -> None:
        if failure is not None:
            self._sends[connection][0].end(failure)
        self._helped.discard(connection)
        self._watch(connection)
        self._go_on(connection)

    def _readable(self, connection: CurlConnection) -> None:
        if connection in self._sends:
            exchange, _ = self._sends[connection]
            connection.carry(exchange)
            if exchange.state != "waiting":
                self._go_on(connection)
        else:
            # A kept connection received something unasked. Most often the server has closed it.
            self._transport.idle.look_at(connection)

    def _go_on(self, connection: CurlConnection) -> None:
        """The connection's exchange is done, or needs another connection."""
        exchange, done = self._sends.pop(connection)
        self._transport.idle.release(connection, usable=exchange.reusable)
        if exchange.state == "connecting":
            self._connect(exchange, done)
        else:
            self._call(done, _result_of(self._transport.ses_id_of, exchange))

    def _sweep(self) -> None:
        """End the sends whose deadline has passed."""
        now = time.monotonic()
        for connection in [each for each in self._own() if self._sends[each][0].deadline < now]:
            # The response may have arrived while the loop was busy.
            exchange, _ = self._sends[connection]
            connection.carry(exchange)
            if exchange.state == "waiting":
                exchange.out_of_time()
            self._go_on(connection)

    # -- callbacks and sockets

    def _take_up(self) -> None:
        while self._finished:
            self._call(self._finished.popleft())

    def _watch(self, connection: CurlConnection) -> None:
        if self._loop is not None:
            connection.closed = self._unwatch
            self._watched.add(connection)
            self._loop.add_reader(connection.socket, self._call, self._readable, connection)

    def _unwatch(self, connection: CurlConnection) -> None:
        self._watched.discard(connection)
        if self._loop is not None:
            self._loop.remove(connection.socket)

    @staticmethod
    def _call(callback: Callable[..., object], *args: object) -> None:
        """Log an exception instead of raising it: it must not end the other sends in this thread."""
        try:
            callback(*args)
        except Exception:
            logger.exception("A step of a send broke off")


def _result_of(work: Callable[..., Any], *args: object) -> Any:
    """The result or exception of ``work``: every send ends with a call of ``done``."""
    try:
        return work(*args)
    except Exception as error:  # noqa: BLE001
        return error
