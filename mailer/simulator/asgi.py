"""Writes an ASGI application's response onto an HTTP/1.1 connection that another object owns."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from starlette.types import Message, Receive

_NO_BODY = frozenset({204, 304})
_ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"cross-origin-resource-policy", b"same-origin"))
"""A browser must believe the content type as sent, and must not give the response to another site's page."""


class AsgiResponse:
    """One response. If the application sets no Content-Length, the body goes out chunked."""

    def __init__(self, transport: asyncio.Transport, method: str, *, keep: bool) -> None:
        self._transport = transport
        self._bodiless = method == "HEAD"
        self._keep = keep
        self._chunked = False

    def receiver(self, body: bytes) -> Receive:
        """An ASGI ``receive`` that returns the whole request body, then the end."""
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            return messages.pop() if messages else {"type": "http.disconnect"}

        return receive

    async def send(self, message: Message) -> None:
        if self._transport.is_closing():
            return
        if message["type"] == "http.response.start":
            self._start(message["status"], list(message.get("headers", ())))
        elif message["type"] == "http.response.body" and not self._bodiless:
            self._continue(message.get("body", b""), more=message.get("more_body", False))

    def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        given = {name.lower() for name, _ in headers}
        sized = b"content-length" in given
        headers += [header for header in _ALWAYS if header[0] not in given]
        self._bodiless = self._bodiless or status in _NO_BODY
        self._chunked = not sized and not self._bodiless
        if self._chunked:
            headers.append((b"transfer-encoding", b"chunked"))
        if not self._keep:
            headers.append((b"connection", b"close"))
        lines = [b"HTTP/1.1 %d %s" % (status, HTTPStatus(status).phrase.encode())]
        lines += [b"%s: %s" % header for header in headers]
        self._transport.write(b"\r\n".join(lines) + b"\r\n\r\n")

    def _continue(self, body: bytes, *, more: bool) -> None:
        if not self._chunked:
            self._transport.write(body)
            return
        if body:
            self._transport.write(b"%x\r\n%s\r\n" % (len(body), body))
        if not more:
            self._transport.write(b"0\r\n\r\n")
