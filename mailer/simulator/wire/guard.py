"""Keeps out other web pages and users, on every HTTP path: SES's APIs, the queues, the control API."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING

from mailer.guard import Guard
from mailer.simulator.errors import FOREIGN
from mailer.simulator.exchange import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mailer.simulator.errors import SesError
    from mailer.simulator.exchange import Request

_log = logging.getLogger(__name__)

# A hosts file or a proxy may lead a client here. The client still sends the name of AWS's endpoint.
_ENDPOINTS_OF_AWS = re.compile(
    r"(?:(?:email|email-fips|sqs|sqs-fips)\.[a-z0-9-]+|queue)\.(?:amazonaws\.com(?:\.cn)?|api\.aws)"
)
_PAGES = frozenset({"/", "/_sim/ui"})
_MOST_TOLD = 20


class SimulatorGuard:
    """``refuse`` writes an SES error in the form of the requested API. ``names`` come from --allow-host."""

    def __init__(self, refuse: Callable[[Request, SesError], Reply], names: Iterable[str] = ()) -> None:
        self._refuse = refuse
        self._guard = Guard(names, _ENDPOINTS_OF_AWS)
        self._told: set[str] = set()

    def __call__(self, request: Request, address: str, stranger: str | None, *, for_control: bool) -> Reply | None:
        """The refusal, or None. ``stranger`` is the reason to refuse the requesting user, or None."""

        def header(name: str) -> str:
            return request.headers.get(name.encode(), b"").decode("latin-1")

        opens = request.method == "GET" and request.path in _PAGES and not request.query
        refusal = stranger or self._guard.refusal(header, address=address, opens=opens)
        if refusal is None:
            return None
        if refusal not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(refusal)
            _log.warning("refused: %s", refusal)
        if for_control:
            # One body in the form of the control API and of the queues.
            answer = {"error": refusal, "__type": FOREIGN.code, "message": refusal}
            return Reply(FOREIGN.status, json.dumps(answer).encode())
        return self._refuse(request, FOREIGN.saying(refusal))
