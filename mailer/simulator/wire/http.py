"""HTTP/1.1 on the wire: a protocol of our own over httptools, with keep-alive and pipelining.

It is our own for the control of the wire, which no library gives whole. A request is read slowly from its first byte.
An answer ends with RST, with FIN, in its middle, or never comes. A request that is too large is refused before it is
held. Connections that wait make room for others, and an outage closes those that are not busy.

Speed is no reason: aiohttp took 85 µs of CPU for a request that it answered without any SES behind it, where this whole
simulator took 126 µs (medians of ten rounds in turn, one core).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, cast

from mailer.simulator.errors import INTERNAL
from mailer.simulator.exchange import Ending, Reply
from mailer.simulator.paths import is_control, operation_of
from mailer.simulator.wire import answers
from mailer.simulator.wire.reading import RequestReader, head_of
from mailer.simulator.wire.trickle import Trickle

if TYPE_CHECKING:
    from mailer.simulator.exchange import Request
    from mailer.simulator.wire.doors import Doors

_log = logging.getLogger(__name__)

_MOST_WAITING = 64
_MOST_BYTES_WAITING = 1024 * 1024
"""Limits per connection: pipelined requests, and the bytes of their bodies. Beyond them, TCP stops the client."""

_TIMES_AS_LONG = 10  # a large body may take this many times as long, if data keeps coming
_LINGER_NOT = struct.pack("ii", 1, 0)


class HttpProtocol(asyncio.Protocol):
    """One connection. Requests that arrive while another is in progress wait their turn."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._service = doors.service
        self._loop = asyncio.get_running_loop()
        self._reader = RequestReader(doors.budget, self._whole, self._continue)
        self._crowd = doors.crowd
        self._stranger: str | None = "it is not known yet who asks"
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._bytes_waiting = 0
        self._busy = False
        self._task: asyncio.Task[None] | None = None
        self._late: asyncio.TimerHandle | None = None
        self._is_controls = False
        self._is_made = False
        self._is_dropped = False
        self._slow_read: Trickle | None = None
        self._full_since: float | None = None
        self._heard_at = self._began_at = self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._is_made = True
        self._address = str((transport.get_extra_info("sockname") or ("",))[0])
        self._stranger = self._doors.strangers.refusal(transport)
        if self._stranger is not None:
            self._crowd = self._doors.strangers.crowd
            self._reader = RequestReader(self._doors.strangers.budget, self._whole, self._continue)
        self._service.connections_opened["http"] += 1
        self._service.connections_open["http"] += 1
        if self._is_dropped:
            self._transport.close()
        elif not self._crowd.admit(self):
            self._refuse(503)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._service.connections_open["http"] -= 1
        self._crowd.gone(self)
        self._reader.close()
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
        if self._late is not None:
            self._late.cancel()
        self._service.slow_readers.discard(self)
        if self._slow_read is not None:
            self._slow_read.stop()

    def pause_writing(self) -> None:
        """The client does not read its answers. Make no more of them until it does."""
        self._full_since = self._loop.time()

    def resume_writing(self) -> None:
        self._full_since = None
        if not self._busy:
            self._next()

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        in_request = self._reader.in_request
        if not in_request:
            self._began_at = self._heard_at
        if self._slow_read is None and not (in_request or self._stranger):
            self._slow_read = self._reads_slowly(data)
        if self._slow_read is not None:
            self._transport.pause_reading()
            self._slow_read.feed(data)
        else:
            self._read(data)

    def _read(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        self._reader.feed(data)
        if self._reader.refusal is not None:
            self._refuse(self._reader.refusal)

    def _continue(self) -> None:
        if not self._busy:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    @property
    def waiting_since(self) -> float | None:
        if self._busy or self._full_since is not None:
            return None
        if self._reader.in_request:
            return self._began_at if self._reader.in_head else None
        return self._heard_at

    def is_overdue(self, now: float) -> bool:
        """An idle client of the control API is never overdue: a test may do other things for hours."""
        most = self._doors.idle_seconds
        if self._full_since is not None:
            return now - self._full_since > most
        if self._busy or self._slow_read is not None:
            return False
        if self._reader.in_request:
            whole = most if self._reader.in_head else most * _TIMES_AS_LONG
            return now - self._began_at > whole or now - self._heard_at > most
        return not self._is_controls and now - self._heard_at > most

    def leave(self) -> None:
        self._transport.abort()

    def _reads_slowly(self, data: bytes) -> Trickle | None:
        """The slow reader for a request that begins with ``data``, if a fault asks for one.

        A request that is refused anyway uses up no fault.
        """
        if not self._service.faults.are_any:
            return None
        head = head_of(data)
        if head is None or is_control(head) or self._refusal(head) is not None:
            return None
        pace = self._service.faults.slow_read(operation_of(head), "http")
        if pace is None:
            return None
        self._service.slow_readers.add(self)
        return Trickle(self._read, pace, self._read_on)

    def _read_on(self) -> None:
        """Called when all received data is read. Full speed returns with the next request."""
        if not self._reader.in_request:
            self._slow_read = None
            self._service.slow_readers.discard(self)
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def give_up(self) -> None:
        """Stop reading a slow request, and close the connection."""
        if self._slow_read is not None:
            self._slow_read.stop()
        self._transport.abort()

    def drop(self) -> None:
        """Close the connection if it waits for a request, except after one to the control API.

        A connection that is accepted but not made yet (during the TLS handshake) is closed once it is made.
        """
        if not self._is_made:
            self._is_dropped = True
        elif not (self._busy or self._reader.in_request or self._is_controls):
            self._transport.close()

    # From a request to its answer

    def _whole(self, request: Request, keep: bool) -> None:
        if self._transport.is_closing():
            return
        if self._busy or self._full_since is not None:
            self._waiting.append((request, keep))
            self._bytes_waiting += len(request.body)
            if len(self._waiting) >= _MOST_WAITING or self._bytes_waiting > _MOST_BYTES_WAITING:
                self._transport.pause_reading()
        else:
            self._begin(request, keep)

    def _begin(self, request: Request, keep: bool) -> None:
        self._busy = True
        self._reader.release(request.body)
        self._is_controls = is_control(request)
        refused = self._refusal(request)
        if refused is not None:
            self._answer(refused, keep=False)
            return
        if self._is_controls:
            self._task = self._loop.create_task(self._answer_control(request, keep))
            return
        try:
            reply = self._doors.api(request)
        except Exception:  # noqa: BLE001 - our own bug must not look like a hanging SES
            _log.exception("%s %s", request.method, request.path)
            reply = Reply.of_error(INTERNAL)
        if reply.delay > 0:
            self._late = self._loop.call_later(reply.delay, self._answer, reply, keep)
        else:
            self._answer(reply, keep)

    def _refusal(self, request: Request) -> Reply | None:
        return self._doors.guard(request, self._address, self._stranger, for_control=self._is_controls)

    def _answer(self, reply: Reply, keep: bool) -> None:
        transport = self._transport
        ending = reply.ending
        if transport.is_closing() or ending is Ending.SILENCE:
            return
        if ending is Ending.RESET:
            reset(transport)
            return
        if ending is Ending.CLOSE:
            transport.close()
            return
        request_id = reply.request_id or self._service.new_request_id()
        answer = answers.written(reply, self._service.clock.wall(), request_id, keep=keep)
        if ending is Ending.TRICKLE:
            Trickle(transport.write, reply.bytes_per_second, lambda: self._answered(keep=keep)).feed(answer)
            return
        transport.write(answer)
        self._answered(keep=keep and ending is Ending.ANSWER)

    def _answered(self, *, keep: bool) -> None:
        if keep and not self._transport.is_closing():
            self._heard_at = self._loop.time()
            self._next()
            if self._reader.refusal is not None and not self._busy:
                self._refuse(self._reader.refusal)
        else:
            self._transport.close()

    async def _answer_control(self, request: Request, keep: bool) -> None:
        try:
            reply = await self._doors.control(request)
        except Exception:  # noqa: BLE001 - our own bug must not look like a hanging simulator
            _log.exception("%s %s", request.method, request.path)
            reply, keep = Reply(500, b'{"error": "a defect of the simulator: its log has more"}'), False
        self._task = None
        if not self._transport.is_closing():
            self._transport.write(answers.written_by_control(reply, keep=keep, bodiless=request.method == "HEAD"))
        self._answered(keep=keep)

    def _next(self) -> None:
        self._busy = False
        if self._waiting and self._full_since is None:
            # In a later turn of the loop, so that a thousand pipelined requests do not make a thousand stack frames.
            self._busy = True
            request, keep = self._waiting.popleft()
            self._bytes_waiting -= len(request.body)
            self._loop.call_soon(self._begin, request, keep)
            if not self._waiting:
                self._transport.resume_reading()

    def _refuse(self, status: int) -> None:
        """Refuse a request that cannot be read. Later requests on this connection cannot be separated either."""
        # Requests that came before it get their answers first.
        if not (self._busy or self._transport.is_closing()):
            self._transport.write(answers.refusal(403 if self._stranger else status))
            self._transport.close()


def reset(transport: asyncio.BaseTransport) -> None:
    """End a connection with RST instead of FIN."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    cast("asyncio.Transport", transport).abort()
