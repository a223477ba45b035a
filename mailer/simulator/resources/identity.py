"""Verified identities: the addresses and domains that the account may send from.

The simulator has no mailbox and no DNS, so an identity is verified as soon as it is made. Identities in the account's
terms (``--verified``) are like any other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mailer.simulator.errors import LIMIT, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Identity:
    """An address (with an ``@``) or a domain."""

    name: str
    tags: list[Mapping[str, Any]] = field(default_factory=list)
    configuration_set: str | None = None

    @property
    def is_domain(self) -> bool:
        return "@" not in self.name

    @property
    def dkim_tokens(self) -> list[str]:
        """Three tokens, as SES gives for a domain's DNS. Here they depend only on the name."""
        return [hashlib.sha256(f"{self.name} {number}".encode()).hexdigest()[:32] for number in range(3)]


class Identities:
    """The identities made by calls, by name. ``Terms.verified`` holds more: ``find`` looks at both."""

    def __init__(self) -> None:
        self._by_name: dict[str, Identity] = {}

    def __iter__(self) -> Iterator[Identity]:
        return iter(self._by_name.values())

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def add(self, identity: Identity) -> None:
        """Add or replace ``identity``. A caller that must not replace one checks first."""
        if identity.name not in self._by_name and len(self._by_name) >= _MOST:
            raise Refused(LIMIT)
        self._by_name[identity.name] = identity

    def get(self, name: str) -> Identity | None:
        return self._by_name.get(name)

    def discard(self, name: str) -> None:
        self._by_name.pop(name, None)

    def names(self) -> set[str]:
        return set(self._by_name)
