"""Reads requests from the bytes of one connection. Bounds limit how much a client can make the simulator keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httptools

from mailer.simulator.exchange import Request

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_BODY_BYTES = 64 * 1024 * 1024
"""Room for a 40 MB message in JSON."""

MAX_URL_BYTES = 16 * 1024
MAX_HEADERS = 100
MAX_HEAD_BYTES = 64 * 1024
MAX_BYTES_IN_ALL = 192 * 1024 * 1024
"""Limit for the bodies of all connections together, while they are read or wait for an answer."""

_SMALL = 64 * 1024  # every body may have this much, however much the others hold


class Budget:
    """The bytes of the bodies held, on all connections together."""

    def __init__(self, most: int = MAX_BYTES_IN_ALL) -> None:
        self._most = most
        self.held = 0

    def take(self, count: int) -> bool:
        self.held += count
        return self.held <= self._most

    def give_back(self, count: int) -> None:
        self.held -= count


class RequestReader:
    """Calls ``whole`` with each complete request, and with whether the connection may stay open after it.

    Calls ``continues`` when a client waits for permission to send its body.
    """

    def __init__(self, budget: Budget, whole: Callable[[Request, bool], None], continues: Callable[[], None]) -> None:
        self._budget = budget
        self._whole = whole
        self._continues = continues
        self._parser = httptools.HttpRequestParser(self)
        self.in_head = False
        self._unfinished = 0
        self.in_request = False
        self.refusal: int | None = None
        """The status for an unreadable request. Later requests on the connection cannot be separated either."""
        self._held = 0
        self._body: bytes | bytearray = b""

    def feed(self, data: bytes) -> None:
        while data and self.refusal is None:
            began = self.in_head
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                # Serve the request without the upgrade, as AWS does. Only a CONNECT cannot be served so.
                if self._parser.get_method() == b"CONNECT":
                    self._refuse(400)
                    return
                data = self._head_without_offer() + data[upgrade.args[0] :]
                self._parser = httptools.HttpRequestParser(self)
            except httptools.HttpParserError:
                self._refuse(400)
            else:
                # The parser keeps an unfinished header to itself.
                if self.in_head and began:
                    self._unfinished += len(data)
                    if self._unfinished > MAX_HEAD_BYTES:
                        self._refuse(431)
                return

    @property
    def request(self) -> Request:
        """The request in progress, as far as it has arrived."""
        path, _, query = self._url.partition(b"?")
        method = self._parser.get_method().decode()
        return Request(method, path.decode("latin-1"), query, self._headers, bytes(self._body))

    def release(self, body: bytes) -> None:
        """Free the bytes of a request whose answer begins, so that it no longer waits."""
        self._held -= len(body)
        self._budget.give_back(len(body))

    def close(self) -> None:
        self._budget.give_back(self._held)
        self._held = 0

    def _refuse(self, status: int) -> None:
        if self.refusal is None:
            self.refusal = status
        self._body = b""  # the budget gets its bytes back when the connection closes

    def _head_without_offer(self) -> bytes:
        """The head just read, without its Upgrade header (Java's client offers h2c in its first request).

        After an Upgrade header the parser skips the body, so it must read the request again.
        """
        line = b"%s %s HTTP/%s" % (self._parser.get_method(), self._url, self._parser.get_http_version().encode())
        headers = [b"%s: %s" % header for header in self._headers.items() if header[0] != b"upgrade"]
        return b"\r\n".join((line, *headers, b"", b""))

    # Methods that httptools calls

    def on_message_begin(self) -> None:
        self.in_request = self.in_head = True
        self._unfinished = 0
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._headers_seen = 0
        self._head_bytes = 0
        self._body = b""

    def on_url(self, url: bytes) -> None:
        self._url += url
        if len(self._url) > MAX_URL_BYTES:
            self._refuse(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        self._headers_seen += 1
        self._head_bytes += len(name) + len(value)
        if self._headers_seen > MAX_HEADERS or self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(431)
        elif name == b"host" and name in self._headers:
            self._refuse(400)  # readers disagree on which of two Host headers counts
        elif self.in_head:  # trailers after a chunked body are ignored: nothing here needs them
            self._headers[name] = value

    def on_headers_complete(self) -> None:
        self.in_head = False
        if self._parser.should_upgrade() or self.refusal is not None:
            return
        if (length := self._headers.get(b"content-length", b"")).isdigit() and int(length[:20]) > MAX_BODY_BYTES:
            self._refuse(413)
        elif self._headers.get(b"expect", b"").lower() == b"100-continue":
            self._continues()

    def on_body(self, body: bytes) -> None:
        if self.refusal is not None:
            return
        self._held += len(body)
        length = len(self._body) + len(body)
        if not self._budget.take(len(body)) and length > _SMALL:
            self._refuse(503)
        elif length > MAX_BODY_BYTES:
            self._refuse(413)
        elif not self._body:
            self._body = body
        elif isinstance(self._body, bytes):
            # A list of one-byte pieces would take forty times the memory.
            self._body = bytearray(self._body) + body
        else:
            self._body += body

    def on_message_complete(self) -> None:
        if self._parser.should_upgrade():
            return
        self.in_request = False
        if self.refusal is not None:
            return
        request = self.request
        self._body = b""
        self._whole(request, self._parser.should_keep_alive())


def head_of(data: bytes) -> Request | None:
    """The request at the beginning of ``data``, as far as it has arrived. None if its first line is not complete."""
    found: list[Request] = []
    reader = RequestReader(Budget(), lambda request, _: found.append(request), lambda: None)
    reader.feed(data)
    if not found and reader.in_request and b"\n" in data and reader.refusal is None:
        found.append(reader.request)
    return found[0] if found else None
