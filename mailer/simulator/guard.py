"""Keeps other web pages away from the control API.

A page from anywhere can make a browser on this host send requests to loopback, and by rebinding its name even read the
answers. So a request that a browser marks as another origin's is refused, and while only loopback is served, so is one
that was addressed to a name that is not loopback's.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mailer.simulator.control_json import Json

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class Guard:
    """ASGI, in front of ``application``. ``any_host`` is for a simulator that serves other hosts too."""

    def __init__(self, application: ASGIApp, *, any_host: bool) -> None:
        self._application = application
        self._any_host = any_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        origin = headers.get(b"origin", b"").decode("latin-1")
        refusal = None
        if origin and origin.partition("://")[2] != host:
            refusal = f"{origin} is not this page: the control API is for the simulator's own"
        elif host and not self._any_host and not _is_loopback(host):
            refusal = f"the control API is for loopback, not for {host}"
        if refusal is None:
            await self._application(scope, receive, send)
        else:
            await Json({"error": refusal}, 403)(scope, receive, send)


def _is_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or name.endswith(".localhost") or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
