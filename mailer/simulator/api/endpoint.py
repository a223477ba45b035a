"""SES over HTTP: one endpoint with two APIs. The path decides between them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mailer.simulator.api.sigv4 import Signatures, scope_region
from mailer.simulator.api.v1 import V1
from mailer.simulator.api.v2 import V2
from mailer.simulator.errors import Refused

if TYPE_CHECKING:
    from mailer.simulator.api.door import Door
    from mailer.simulator.errors import SesError
    from mailer.simulator.exchange import Reply, Request
    from mailer.simulator.service import Service


class Api:
    """Turns a request into its reply. Unsigned requests belong to the simulator's own Region."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._signatures = Signatures(service.secrets, service.clock.wall)
        self._v1 = V1(service)
        self._v2 = V2(service)

    def handle(self, request: Request) -> Reply:
        service = self._service
        door = self._door(request)
        name = "Unknown"
        try:
            name, answer = door.operation(request)
            service.requests[name] += 1
            self._signatures.check(request)
            region = scope_region(request.headers.get(b"authorization", b"")) or service.options.region
            reply = answer(request, service.accounts.in_region(region))
        except Refused as refused:
            reply = door.error(service.refuse(refused.error))
        invocation_id = request.invocation_id
        if invocation_id is not None:
            service.resends.record(invocation_id, service.clock.now(), name, reply)
        pause = service.pause()
        return replace(reply, delay=reply.delay + pause) if pause else reply

    def refuse(self, request: Request, error: SesError) -> Reply:
        """``error`` in the form of the API that the request is for. Counts nothing."""
        return self._door(request).error(error)

    def _door(self, request: Request) -> Door:
        return self._v1 if request.path == "/" else self._v2
