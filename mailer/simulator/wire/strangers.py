"""Refuses other users of this host. It looks up the user once per connection, and holds little data for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailer.simulator.wire.crowd import Crowd
from mailer.simulator.wire.reading import Budget
from mailer.user import UserGuard

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

_MOST = 20


class Strangers:
    """``allowed`` names users who are not strangers. With ``everybody``, no user is a stranger.

    Over HTTP, a stranger gets the refusal as the answer to its first request, because a client does not read earlier.
    Until then its connection is in ``crowd``, and its bytes count in ``budget``.
    """

    def __init__(self, allowed: Iterable[str], *, everybody: bool) -> None:
        self._guard = None if everybody else UserGuard(allowed, everybody="say so at its start with --allow-remote")
        self.crowd = Crowd(_MOST, tells=False)
        self.budget = Budget(0)

    def refusal(self, transport: asyncio.BaseTransport) -> str | None:
        """Why the client of a new connection is refused. None if it is not."""
        return None if self._guard is None else self._guard.refusal(transport.get_extra_info("socket"))
