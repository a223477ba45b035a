"""The one place the simulator gets the time from, so that a test may stop it or move it on."""

from __future__ import annotations

import time

_LATEST = 253_000_000_000.0
"""In the year 9987: what is dated a little ahead must be a date too."""


class Clock:
    """Epoch seconds that never run backwards.

    Wall time is read once, at the start; from then on the monotonic clock carries it, so that an NTP step on the
    host neither refills a bucket nor rolls a quota window. ``freeze`` and ``advance`` move the account's time only:
    latencies and timeouts are about the wire and stay real.

    ``skew`` is how many seconds the simulator's own wall clock is ahead of its host's: signatures are judged by it and
    answers dated, as if the clients' hosts were wrong by so much.
    """

    def __init__(self) -> None:
        self.reset()

    def wall(self) -> float:
        """Epoch seconds of the present day, whatever the account's time is."""
        return time.time() + self.skew

    def reset(self) -> None:
        """Back to real time, running. Only for when nothing is left that remembers a later moment."""
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
        """Stop at the present moment. ``advance`` still moves it."""
        self._frozen_at = self.now()

    def resume(self) -> None:
        """Run on from where it stands; what was skipped stays skipped."""
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
