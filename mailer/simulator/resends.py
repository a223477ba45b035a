"""Calls that an AWS SDK repeated without its caller's knowledge. ``amz-sdk-invocation-id`` identifies a call."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from mailer.simulator.exchange import Reply

_MOST_OF_ONE_CALL = 100


class Attempt(NamedTuple):
    """One request and its answer. ``ending`` is ``answer`` unless a fault spoilt the answer.

    ``taken``: SES did the work, whatever the answer says.
    """

    at: float
    operation: str
    status: int
    error_code: str
    ending: str
    taken: bool


class Resends:
    """Keeps the newest ``keep`` calls, and as many calls with resends."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self.clear()

    def clear(self) -> None:
        self._calls: OrderedDict[str, list[Attempt]] = OrderedDict()
        self._resent: OrderedDict[str, list[Attempt]] = OrderedDict()
        self.hidden = 0
        """How many requests were not the first of their call."""

    def record(self, invocation_id: str, at: float, operation: str, reply: Reply) -> None:
        taken = reply.status == 200 if reply.taken is None else reply.taken
        attempt = Attempt(at, operation, reply.status, reply.error_code, reply.ending.name.lower(), taken)
        made = self._calls.get(invocation_id)
        if made is None:
            self._calls[invocation_id] = [attempt]
            if len(self._calls) > self._keep:
                self._calls.popitem(last=False)
            return
        self.hidden += 1
        if len(made) < _MOST_OF_ONE_CALL:
            made.append(attempt)
        self._resent[invocation_id] = made
        if len(self._resent) > self._keep:
            self._resent.popitem(last=False)

    def resent(self, limit: int) -> list[dict[str, Any]]:
        """Calls with more than one attempt, newest first. ``taken`` counts those that SES took, answered or not."""
        newest = list(reversed(self._resent.items()))[:limit]
        return [
            {
                "invocation_id": invocation_id,
                "operation": attempts[0].operation,
                "taken": sum(attempt.taken for attempt in attempts),
                "attempts": [attempt._asdict() for attempt in attempts],
            }
            for invocation_id, attempts in newest
        ]
