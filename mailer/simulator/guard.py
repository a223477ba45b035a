"""Keeps other web pages and users out, before every path of the HTTP side: SES's APIs, the queues, the control API."""

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

# A client that is led here by its host's table, or through a proxy, goes on saying the name it was made for.
_ENDPOINTS_OF_AWS = re.compile(
    r"(?:(?:email|email-fips|sqs|sqs-fips)\.[a-z0-9-]+|queue)\.(?:amazonaws\.com(?:\.cn)?|api\.aws)"
)
_PAGES = frozenset({"/", "/_sim/ui"})
_MOST_TOLD = 20


class SimulatorGuard:
    """``refuse`` writes an SES error as the API does that the request is for. ``names`` are those of --allow-host."""

    def __init__(self, refuse: Callable[[Request, SesError], Reply], names: Iterable[str] = ()) -> None:
        self._refuse = refuse
        self._guard = Guard(names, _ENDPOINTS_OF_AWS)
        self._told: set[str] = set()

    def __call__(self, request: Request, address: str, stranger: str | None, *, for_control: bool) -> Reply | None:
        """``stranger`` is why the user is refused who asks, if that is so."""

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
            # In the words of the control API, and in those of the queues.
            answer = {"error": refusal, "__type": FOREIGN.code, "message": refusal}
            return Reply(FOREIGN.status, json.dumps(answer).encode())
        return self._refuse(request, FOREIGN.saying(refusal))
