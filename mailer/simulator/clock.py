"""The only source of time in the simulator, so that a test can stop the time or advance it."""

from __future__ import annotations

import time
from typing import ClassVar

from pydantic import Field

from mailer.simulator.spec import Spec

_A_DAY = 86_400.0
_LATEST = 253_000_000_000.0
"""In the year 9987: a time somewhat later than this must still be a valid date."""


class ClockChange(Spec):
    """A change of the clock: it jumps, then it stops or runs."""

    called: ClassVar[str] = "a change of the clock"

    frozen: bool | None = None
    """whether the account's time stands still"""
    advance: float = 0.0
    """by how many seconds the account's time jumps ahead"""
    skew: float | None = Field(None, ge=-_A_DAY, le=_A_DAY)
    """how many seconds SES's wall clock, which judges signatures and dates answers, is ahead of this host's"""


class Clock:
    """Epoch seconds that never run backwards.

    The clock reads wall time once, at the start, and then follows the monotonic clock. So an NTP step on the host
    neither refills a bucket nor rolls a quota window. ``freeze`` and ``advance`` move only the account's time.
    Latencies and timeouts belong to the wire and stay real.

    ``skew`` is how many seconds the simulator's wall clock is ahead of its host's. The simulator checks signatures and
    dates answers by it, as if the clients' hosts were wrong by so much.
    """

    def __init__(self) -> None:
        self.reset()

    def wall(self) -> float:
        """Real epoch seconds plus ``skew``, whatever the account's time is."""
        return time.time() + self.skew

    def reset(self) -> None:
        """Return to running real time. Safe only when nothing remembers a later moment."""
        self.skew = 0.0
        self._offset = time.time() - time.monotonic()
        self._frozen_at: float | None = None

    def now(self) -> float:
        """Epoch seconds."""
        if self._frozen_at is not None:
            return self._frozen_at
        return time.monotonic() + self._offset

    @property
    def frozen(self) -> bool:
        return self._frozen_at is not None

    def freeze(self) -> None:
        """Stop at the present moment. ``advance`` still moves the time."""
        self._frozen_at = self.now()

    def resume(self) -> None:
        """Continue from the account's present time. Skipped time stays skipped."""
        if self._frozen_at is not None:
            self._offset = self._frozen_at - time.monotonic()
            self._frozen_at = None

    def advance(self, seconds: float) -> None:
        """Jump ``seconds`` (>= 0) ahead, frozen or not."""
        if seconds < 0:
            raise ValueError("time only moves forward: advance by a number of seconds >= 0")
        if not self.now() + seconds < _LATEST:
            raise ValueError("dates end with the year 9999: advance by less")
        if self._frozen_at is not None:
            self._frozen_at += seconds
        else:
            self._offset += seconds
