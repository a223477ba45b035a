"""HTTP/1.1 on the wire: a hand-written protocol over httptools, with keep-alive and pipelining.

The sends are answered right here, in the callback that completes the request: no task, no ASGI cycle, no access log.
That is what makes one process a useful sink: 95 µs of CPU per send, against 172 µs with the same service behind
Starlette and uvicorn (httptools, uvloop). Everything under ``/_sim/`` goes to an ASGI application and takes the
longer way.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections import deque
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

import httptools

from mailer.simulator.asgi import AsgiResponse
from mailer.simulator.errors import INTERNAL
from mailer.simulator.events.sqs import TARGET
from mailer.simulator.exchange import Ending, Reply, Request
from mailer.simulator.trickle import Trickle

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from mailer.simulator.service import Service

_log = logging.getLogger(__name__)

CONTROL = "/_sim"
MAX_BODY_BYTES = 64 * 1024 * 1024
"""Room for a 40 MB message in JSON."""

_MOST_WAITING = 64
"""Pipelined requests of one connection; beyond it, TCP makes the client wait."""

_REASONS = {status.value: status.phrase for status in HTTPStatus}
_LINGER_NOT = struct.pack("ii", 1, 0)


class HttpProtocol(asyncio.Protocol):
    """One connection. Requests that arrive while another is being answered wait their turn."""

    def __init__(self, service: Service, api: Callable[[Request], Reply], control: ASGIApp) -> None:
        self._service = service
        self._api = api
        self._control = control
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._busy = False
        self._task: asyncio.Task[None] | None = None
        self._late: asyncio.TimerHandle | None = None
        self._is_controls = False
        self._refusal: int | None = None
        self._is_made = False
        self._is_dropped = False
        self._slow_read: Trickle | None = None
        self._in_request = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._is_made = True
        self._service.connections_opened["http"] += 1
        self._service.connections_open["http"] += 1
        if self._is_dropped:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._service.connections_open["http"] -= 1
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
        if self._late is not None:
            self._late.cancel()
        self._service.slow_readers.discard(self)
        if self._slow_read is not None:
            self._slow_read.stop()

    def data_received(self, data: bytes) -> None:
        if self._slow_read is None and not self._in_request and not _begins_for_control(data):
            self._slow_read = self._reads_slowly(data)
        if self._slow_read is not None:
            self._transport.pause_reading()
            self._slow_read.feed(data)
        else:
            self._read(data)

    def _read(self, data: bytes) -> None:
        while data and not self._transport.is_closing() and self._refusal is None:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                # Served in the protocol it came in, as AWS does; only a CONNECT cannot be.
                if self._parser.get_method() == b"CONNECT":
                    self._refuse(400)
                    return
                data = self._head_without_offer() + data[upgrade.args[0] :]
                self._parser = httptools.HttpRequestParser(self)
            except httptools.HttpParserError:
                self._refuse(400)
            else:
                return

    def _head_without_offer(self) -> bytes:
        """The head just read, without its Upgrade header (Java's client offers h2c in its first request).

        The parser leaves a body behind that header alone, so it reads the request once more.
        """
        line = b"%s %s HTTP/%s" % (self._parser.get_method(), self._url, self._parser.get_http_version().encode())
        headers = [b"%s: %s" % header for header in self._headers.items() if header[0] != b"upgrade"]
        return b"\r\n".join((line, *headers, b"", b""))

    def _reads_slowly(self, data: bytes) -> Trickle | None:
        """For a request that is beginning with ``data``: what reads it slowly, if a fault says so."""
        pace = self._service.faults.slow_read("send" if data.startswith(b"POST ") else None, "http")
        if pace is None:
            return None
        self._service.slow_readers.add(self)
        return Trickle(self._read, pace, self._read_on)

    def _read_on(self) -> None:
        """What had arrived is read: at full speed from the next request on."""
        if not self._in_request:
            self._slow_read = None
            self._service.slow_readers.discard(self)
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def give_up(self) -> None:
        """Read no more of a request that is being read slowly, and close the connection."""
        if self._slow_read is not None:
            self._slow_read.stop()
        self._transport.abort()

    def drop(self) -> None:
        """Close the connection if it only waits for a request, and not for one to the control API.

        One that is accepted and not made yet (TLS is being agreed on) is closed when it is.
        """
        if not self._is_made:
            self._is_dropped = True
        elif not (self._busy or self._in_request or self._is_controls):
            self._transport.close()

    # httptools calls these.

    def on_message_begin(self) -> None:
        self._in_request = True
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._body_length = 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        if self._parser.should_upgrade():
            return
        if self._headers.get(b"expect", b"").lower() == b"100-continue" and not self._busy:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body_length += len(body)
        if self._body_length > MAX_BODY_BYTES:
            self._refuse(413)
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._parser.should_upgrade():
            return
        self._in_request = False
        if self._transport.is_closing():
            return
        path, _, query = self._url.partition(b"?")
        request = Request(
            self._parser.get_method().decode(),
            path.decode("latin-1"),
            query,
            self._headers,
            self._body[0] if len(self._body) == 1 else b"".join(self._body),
        )
        keep = self._parser.should_keep_alive()
        if self._busy:
            self._waiting.append((request, keep))
            if len(self._waiting) >= _MOST_WAITING:
                self._transport.pause_reading()
        else:
            self._begin(request, keep)

    # From a request to its answer.

    def _begin(self, request: Request, keep: bool) -> None:
        self._busy = True
        if request.method != "GET":
            self._service.changes += 1
        self._is_controls = _is_control(request)
        if self._is_controls:
            self._task = self._loop.create_task(self._answer_control(request, keep))
            return
        try:
            reply = self._api(request)
        except Exception:  # noqa: BLE001 - a mistake of ours must not look like a hanging SES
            _log.exception("%s %s", request.method, request.path)
            reply = Reply.of_error(INTERNAL)
        if reply.delay > 0:
            self._late = self._loop.call_later(reply.delay, self._answer, reply, keep)
        else:
            self._answer(reply, keep)

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
        body = reply.body[: len(reply.body) // 2] if ending is Ending.GARBAGE else reply.body
        answer = (
            b"HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n"
            b"x-amzn-RequestId: %s\r\n%s%s\r\n%s"
            % (
                reply.status,
                _REASONS.get(reply.status, "").encode(),
                _date(self._service.clock.wall()),
                reply.content_type,
                len(body),
                (reply.request_id or self._service.new_request_id()).encode(),
                b"x-amzn-ErrorType: %s\r\n" % reply.error_code.encode() if reply.error_code else b"",
                b"" if keep else b"Connection: close\r\n",
                body,
            )
        )
        if ending is Ending.TRICKLE:
            Trickle(transport.write, reply.bytes_per_second, lambda: self._answered(keep=keep)).feed(answer)
            return
        transport.write(answer)
        self._answered(keep=keep and ending is Ending.ANSWER)

    def _answered(self, *, keep: bool) -> None:
        if keep and not self._transport.is_closing():
            self._next()
            if self._refusal is not None and not self._busy:
                self._refuse(self._refusal)
        else:
            self._transport.close()

    async def _answer_control(self, request: Request, keep: bool) -> None:
        response = AsgiResponse(self._transport, request.method, keep=keep)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": unquote(request.path),
            "raw_path": request.path.encode("latin-1"),
            "query_string": request.query,
            "root_path": "",
            "headers": list(request.headers.items()),
            "client": self._transport.get_extra_info("peername"),
            "server": self._transport.get_extra_info("sockname"),
        }
        try:
            await self._control(scope, response.receiver(request.body), response.send)
        except Exception:  # noqa: BLE001 - Starlette has answered 500; the connection must not hang
            _log.exception("%s %s", request.method, request.path)
            keep = False
        self._task = None
        self._answered(keep=keep)

    def _next(self) -> None:
        self._busy = False
        if self._waiting:
            # A later turn of the loop: a thousand pipelined requests are not a thousand stack frames.
            self._busy = True
            self._loop.call_soon(self._begin, *self._waiting.popleft())
            if not self._waiting:
                self._transport.resume_reading()

    def _refuse(self, status: int) -> None:
        """A request that cannot be read. What comes behind it on this connection cannot be told apart either."""
        self._refusal = status
        # What came before it is answered first.
        if not (self._busy or self._transport.is_closing()):
            reason = _REASONS[status].encode()
            self._transport.write(
                b"HTTP/1.1 %d %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % (status, reason)
            )
            self._transport.close()


def _is_control(request: Request) -> bool:
    """Whether a request is for the simulator itself, or for a queue of events, and not for SES."""
    return (
        request.path.startswith(CONTROL)
        or (request.path == "/" and request.method in {"GET", "HEAD"} and not request.query)
        or TARGET in request.headers
    )


def _begins_for_control(data: bytes) -> bool:
    return data[:32].partition(b" ")[2].startswith(CONTROL.encode())


def reset(transport: asyncio.BaseTransport) -> None:
    """End a connection with RST instead of FIN."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    cast("asyncio.Transport", transport).abort()


class _DateHeader:
    """The Date header's value, made once a second."""

    second = 0
    value = b""


def _date(wall: float) -> bytes:
    second = int(wall)
    if second != _DateHeader.second:
        _DateHeader.second = second
        _DateHeader.value = formatdate(second, usegmt=True).encode()
    return _DateHeader.value
