"""SES's answers as HTTP/1.1 writes them."""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING

from mailer.simulator.exchange import Ending

if TYPE_CHECKING:
    from mailer.simulator.exchange import Reply

_REASONS = {status.value: status.phrase for status in HTTPStatus}


_ALWAYS = (b"x-content-type-options: nosniff", b"cross-origin-resource-policy: same-origin")
"""A browser must believe the content type as sent, and must not give the answer to another site's page."""


def written(reply: Reply, wall: float, request_id: str, *, keep: bool) -> bytes:
    """SES's answer as bytes. ``wall`` is SES's time of day; ``keep``: whether the connection stays open."""
    body = reply.body[: len(reply.body) // 2] if reply.ending is Ending.GARBAGE else reply.body
    return (
        b"HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n"
        b"x-amzn-RequestId: %s\r\n%s%s\r\n%s"
        % (
            reply.status,
            _REASONS.get(reply.status, "").encode(),
            _date(wall),
            reply.content_type,
            len(body),
            request_id.encode(),
            b"x-amzn-ErrorType: %s\r\n" % reply.error_code.encode() if reply.error_code else b"",
            b"" if keep else b"Connection: close\r\n",
            body,
        )
    )


def written_by_control(reply: Reply, *, keep: bool, bodiless: bool) -> bytes:
    """An answer of the control API as bytes. ``bodiless``: it answers a HEAD."""
    lines = [b"HTTP/1.1 %d %s" % (reply.status, _REASONS[reply.status].encode()), *_ALWAYS]
    lines += [f"{name}: {value}".encode() for name, value in (reply.headers or {}).items()]
    if reply.status != HTTPStatus.NO_CONTENT:
        lines += [b"content-type: %s" % reply.content_type, b"content-length: %d" % len(reply.body)]
    if not keep:
        lines.append(b"connection: close")
    return b"\r\n".join((*lines, b"", b"" if bodiless else reply.body))


def refusal(status: int) -> bytes:
    """The answer to a request that cannot be read. The caller then closes the connection."""
    return b"HTTP/1.1 %d %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % (status, _REASONS[status].encode())


class _DateHeader:
    """Caches the Date header's value for one second."""

    second = 0
    value = b""


def _date(wall: float) -> bytes:
    second = int(wall)
    if second != _DateHeader.second:
        _DateHeader.second = second
        _DateHeader.value = formatdate(second, usegmt=True).encode()
    return _DateHeader.value
