"""Maps a call of the v2 control plane to its operation."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from urllib.parse import unquote

if TYPE_CHECKING:
    from mailer.simulator.resources import Resources
    from mailer.simulator.terms import Terms


class Account(Protocol):
    """The part of an account that an operation on a resource needs."""

    resources: Resources

    @property
    def terms(self) -> Terms: ...

    def change(self, terms: Terms) -> None: ...

    def now(self) -> float: ...


Operation: TypeAlias = "Callable[[Any, Mapping[str, Any]], dict[str, Any]]"
"""Takes an account and a call: members of body, path and query by the model's names. Returns the answer's members."""


@dataclass(frozen=True, slots=True)
class Route:
    """``path`` is the part after ``/v2/email/``. ``{Name}`` stands for a member of the call."""

    name: str
    method: str
    path: str
    operation: Operation
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(self.path))
        object.__setattr__(self, "_pattern", re.compile(pattern))

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """The members in the path, decoded. None if the request does not match."""
        found = self._pattern.fullmatch(path) if method == self.method else None
        return None if found is None else {name: unquote(value) for name, value in found.groupdict().items()}
