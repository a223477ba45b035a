"""Other users of this host: who asks is looked up once for each connection, and they take up little room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailer.simulator.crowd import Crowd
from mailer.simulator.reading import Budget
from mailer.user_guard import UserGuard

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

_MOST = 20


class Strangers:
    """``allowed`` names users who are none. With ``everybody`` nobody is one.

    A stranger over HTTP is told so in answer to its first request, as only then a client reads. Until then it is one
    of ``crowd``, and what it sends counts in ``budget``.
    """

    def __init__(self, allowed: Iterable[str], *, everybody: bool) -> None:
        self._guard = None if everybody else UserGuard(allowed, everybody="say so at its start with --allow-remote")
        self.crowd = Crowd(_MOST, tells=False)
        self.budget = Budget(0)

    def refusal(self, transport: asyncio.BaseTransport) -> str | None:
        """Why the other end of a new connection is refused, None if it is not."""
        return None if self._guard is None else self._guard.refusal(transport.get_extra_info("socket"))
