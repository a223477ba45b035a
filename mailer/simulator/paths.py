"""Tells by its head what a request is for: SES, the simulator itself, or an event queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailer.simulator.events.sqs import TARGET

if TYPE_CHECKING:
    from mailer.simulator.exchange import Request
    from mailer.simulator.fault import Operation

SEND = "/v2/email/outbound-emails"
SEND_BULK = "/v2/email/outbound-bulk-emails"


def is_control(request: Request) -> bool:
    return (
        request.path == "/_sim"
        or request.path.startswith("/_sim/")
        or (request.path == "/" and request.method in {"GET", "HEAD"} and not request.query)
        or TARGET in request.headers
    )


def operation_of(request: Request) -> Operation:
    """The kind of a call to SES whose body is not there yet. A call of v1 counts as a send: only its body names it."""
    return "send" if request.method == "POST" and request.path in {"/", SEND, SEND_BULK} else "account"
