"""The account's suppression list. SES accepts mail to these addresses and does not send it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mailer.simulator.errors import LIMIT, NOT_FOUND, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

Reason = Literal["BOUNCE", "COMPLAINT"]
REASONS: tuple[Reason, ...] = ("BOUNCE", "COMPLAINT")
_MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class Suppressed:
    """One address, suppressed since ``at`` (epoch seconds)."""

    address: str
    reason: Reason
    at: float


class SuppressionList:
    """Entries by address. The domain's case does not matter, the local part's case does."""

    def __init__(self) -> None:
        self._by_address: dict[str, Suppressed] = {}
        self.reasons: tuple[Reason, ...] = REASONS
        """The reasons for which the account suppresses."""

    def __iter__(self) -> Iterator[Suppressed]:
        return iter(self._by_address.values())

    def put(self, address: str, reason: Reason, at: float) -> None:
        key = _key(address)
        if key not in self._by_address and len(self._by_address) >= _MOST:
            raise Refused(LIMIT)
        self._by_address[key] = Suppressed(key, reason, at)

    def get(self, address: str) -> Suppressed:
        found = self._by_address.get(_key(address))
        if found is None:
            raise Refused(NOT_FOUND.saying(f"Email address {_key(address)} does not exist on your suppression list."))
        return found

    def delete(self, address: str) -> None:
        del self._by_address[self.get(address).address]

    def reason(self, address: str) -> Reason | None:
        """Why SES sends nothing to ``address``. None if it sends."""
        entry = self._by_address.get(_key(address)) if self._by_address else None
        return None if entry is None or entry.reason not in self.reasons else entry.reason


def _key(address: str) -> str:
    local, at, domain = address.strip().rpartition("@")
    return local + at + domain.lower()
