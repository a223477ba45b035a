"""Requests out of the bytes of one connection, within bounds: nobody can make us keep more than a request needs."""

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
"""Of all bodies that are being read, or wait to be answered, on all connections."""

_SMALL = 64 * 1024  # so much a body may have, however much others have


class Budget:
    """The bytes of bodies that are held, on all connections together."""

    def __init__(self, most: int = MAX_BYTES_IN_ALL) -> None:
        self._most = most
        self.held = 0

    def take(self, count: int) -> bool:
        self.held += count
        return self.held <= self._most

    def give_back(self, count: int) -> None:
        self.held -= count


class RequestReader:
    """``whole`` is called with each request that is complete, and whether the connection may be kept after it.

    ``continues`` is called when a client waits for the word to send its body.
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
        """The status to be answered to what cannot be read. What comes behind it cannot be told apart either."""
        self._held = 0
        self._body: bytes | bytearray = b""

    def feed(self, data: bytes) -> None:
        while data and self.refusal is None:
            began = self.in_head
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
                # The parser keeps what it has of a header to itself until that is whole.
                if self.in_head and began:
                    self._unfinished += len(data)
                    if self._unfinished > MAX_HEAD_BYTES:
                        self._refuse(431)
                return

    @property
    def request(self) -> Request:
        """The one that is being read, as far as it has come."""
        path, _, query = self._url.partition(b"?")
        method = self._parser.get_method().decode()
        return Request(method, path.decode("latin-1"), query, self._headers, bytes(self._body))

    def release(self, body: bytes) -> None:
        """The request with that body is being answered, and no longer waits."""
        self._held -= len(body)
        self._budget.give_back(len(body))

    def close(self) -> None:
        self._budget.give_back(self._held)
        self._held = 0

    def _refuse(self, status: int) -> None:
        if self.refusal is None:
            self.refusal = status
        self._body = b""  # what was held for it is given back when the connection closes

    def _head_without_offer(self) -> bytes:
        """The head just read, without its Upgrade header (Java's client offers h2c in its first request).

        The parser leaves a body behind that header alone, so it reads the request once more.
        """
        line = b"%s %s HTTP/%s" % (self._parser.get_method(), self._url, self._parser.get_http_version().encode())
        headers = [b"%s: %s" % header for header in self._headers.items() if header[0] != b"upgrade"]
        return b"\r\n".join((line, *headers, b"", b""))

    # httptools calls these.

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
            self._refuse(400)  # which of them is meant, every reader answers otherwise
        elif self.in_head:  # behind a body in pieces come more, which say nothing that is asked for here
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
            # Not a list of pieces: of one byte each they would take forty times the room.
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
    """What a request asks that begins with ``data``, as far as it has come; None where not even its head is whole."""
    found: list[Request] = []
    reader = RequestReader(Budget(), lambda request, _: found.append(request), lambda: None)
    reader.feed(data)
    if not found and reader.in_request and not reader.in_head and reader.refusal is None:
        found.append(reader.request)
    return found[0] if found else None
