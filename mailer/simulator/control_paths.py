"""Recognises requests for the simulator itself or for an event queue, which are not for SES."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailer.simulator.events.sqs import TARGET

if TYPE_CHECKING:
    from mailer.simulator.exchange import Request

_CONTROL = "/_sim"


def is_control(request: Request) -> bool:
    return (
        request.path.startswith(_CONTROL)
        or (request.path == "/" and request.method in {"GET", "HEAD"} and not request.query)
        or TARGET in request.headers
    )


def begins_for_control(data: bytes) -> bool:
    return data[:32].partition(b" ")[2].startswith(_CONTROL.encode())
