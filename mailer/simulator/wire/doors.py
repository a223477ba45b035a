"""The objects behind an HTTP connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mailer.simulator.exchange import Reply, Request
    from mailer.simulator.service import Service
    from mailer.simulator.wire.crowd import Crowd
    from mailer.simulator.wire.reading import Budget
    from mailer.simulator.wire.strangers import Strangers


class Guarding(Protocol):
    """Returns a reply if the request may not come in, None if it may."""

    def __call__(self, request: Request, address: str, stranger: str | None, *, for_control: bool) -> Reply | None: ...


@dataclass(frozen=True, slots=True)
class Doors:
    """The objects that serve every connection, and those that limit it.

    ``idle_seconds`` is how long a client may keep a connection waiting: for a request, for the next part of a request,
    or to read the answer.
    """

    service: Service
    guard: Guarding
    api: Callable[[Request], Reply]
    control: Callable[[Request], Awaitable[Reply]]
    strangers: Strangers
    crowd: Crowd
    budget: Budget
    idle_seconds: float = 60.0
