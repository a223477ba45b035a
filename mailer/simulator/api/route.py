"""Maps a call of the v2 control plane to its operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from mailer.simulator.pattern import Pattern

if TYPE_CHECKING:
    from mailer.simulator.account import Account

Operation: TypeAlias = "Callable[[Account, Mapping[str, Any]], dict[str, Any]]"
"""Takes an account and a call: members of body, path and query by the model's names. Returns the answer's members."""


class Route(NamedTuple):
    """``path`` is the part after ``/v2/email/``. ``{Name}`` stands for a member of the call."""

    name: str
    method: str
    path: Pattern
    operation: Operation


def route(name: str, method: str, path: str, operation: Operation) -> Route:
    return Route(name, method, Pattern(path), operation)
