"""SES's answers as HTTP/1.1 writes them."""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING

from mailer.simulator.exchange import Ending

if TYPE_CHECKING:
    from mailer.simulator.exchange import Reply

_REASONS = {status.value: status.phrase for status in HTTPStatus}


def written(reply: Reply, wall: float, request_id: str, *, keep: bool) -> bytes:
    """The reply as bytes. ``wall`` is SES's time of day; ``keep``: whether the connection stays open."""
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
