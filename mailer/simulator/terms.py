"""The limits and rights that AWS grants an account."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Enforcement = Literal["HEALTHY", "PROBATION", "SHUTDOWN"]
ENFORCEMENT: tuple[Enforcement, ...] = ("HEALTHY", "PROBATION", "SHUTDOWN")


@dataclass(frozen=True, slots=True)
class Terms:
    """``rate``: recipients per second. ``quota``: recipients per rolling 24 hours (-1: no quota).

    ``bucket``: the burst in recipients (None: the larger of 1 and the rate). ``control_rate``: how often per second a
    client may make each call except a send, such as GetAccount (0: no limit). ``verified``: the addresses and
    domains that are verified identities from the start, besides those made over the API. None: every sender counts as
    verified. In the sandbox, recipients must be identities or belong to the mailbox simulator.
    """

    rate: float = 14.0
    quota: float = 50_000.0
    bucket: float | None = None
    control_rate: float = 1.0
    sending_enabled: bool = True
    enforcement: Enforcement = "HEALTHY"
    sandbox: bool = False
    verified: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.rate < math.inf:
            raise ValueError("rate must be a number of recipients per second above 0")
        if not (0 <= self.quota < math.inf or self.quota == -1):
            raise ValueError("quota must be a number of recipients per 24 hours, or -1 for no quota")
        if self.bucket is not None and not 1 <= self.bucket < math.inf:
            raise ValueError("bucket must be at least 1 recipient: nothing could ever be sent from a smaller one")
        if not 0 <= self.control_rate < math.inf:
            raise ValueError("control_rate must be a number of calls per second, or 0 for no limit")
        if self.enforcement not in ENFORCEMENT:
            raise ValueError(f"enforcement must be one of {', '.join(ENFORCEMENT)}")
        if self.verified is not None:
            object.__setattr__(self, "verified", frozenset(map(_name_of_identity, self.verified)))

    @property
    def capacity(self) -> float:
        return max(1.0, self.rate) if self.bucket is None else self.bucket


def _name_of_identity(name: str) -> str:
    local, at, domain = name.rpartition("@")
    return local + at + domain.lower()
