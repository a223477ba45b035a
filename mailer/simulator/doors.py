"""What an HTTP connection leads to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from mailer.simulator.crowd import Crowd
    from mailer.simulator.exchange import Reply, Request
    from mailer.simulator.reading import Budget
    from mailer.simulator.service import Service
    from mailer.simulator.strangers import Strangers


class Guarding(Protocol):
    """Answers in place of what is behind it where a request may not come in; None where it may."""

    def __call__(self, request: Request, address: str, stranger: str | None, *, for_control: bool) -> Reply | None: ...


@dataclass(frozen=True, slots=True)
class Doors:
    """What is behind every connection, and what keeps it in bounds.

    ``idle_seconds`` is how long a client may keep a connection waiting: for a request, for the next part of one, or
    to take the answer.
    """

    service: Service
    guard: Guarding
    api: Callable[[Request], Reply]
    control: ASGIApp
    strangers: Strangers
    crowd: Crowd
    budget: Budget
    idle_seconds: float = 60.0
