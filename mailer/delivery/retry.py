"""When a message that failed is tried again, and for how long."""

from __future__ import annotations

import random as _random
from collections.abc import Callable
from dataclasses import dataclass

_FIRST_SECONDS, _MOST_SECONDS = 2.0, 900.0
"""The first wait, which doubles each time, and the longest. Both are shorter where there is little time in all."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Attempts until those between which a message waited for ``most_seconds``, all together."""

    most_seconds: float

    def after(self, attempt: int, waited: float, random: Callable[[], float] = _random.random) -> float | None:
        """Seconds until the next try, after ``attempt`` failed ones between which it waited so long; None: no more."""
        seconds = backoff(
            attempt,
            base=min(_FIRST_SECONDS, self.most_seconds / 100),
            cap=min(_MOST_SECONDS, self.most_seconds / 10),
            random=random,
        )
        return None if waited + seconds >= self.most_seconds else seconds


def backoff(attempt: int, *, base: float, cap: float, random: Callable[[], float] = _random.random) -> float:
    """Seconds to wait before the next try of a failed message: exponential, with full jitter.

    ``attempt`` counts the failed tries so far, from 1; ``base`` and ``cap`` are seconds. The wait is uniform
    between 0 and ``min(cap, base * 2**(attempt-1))``, so that messages which failed together do not come back
    together. ``random`` returns a float in [0, 1).
    """
    # 2.0**63 seconds is beyond any cap; a larger exponent would overflow.
    ceiling = min(cap, base * 2.0 ** min(max(attempt, 1) - 1, 63))
    return random() * ceiling
