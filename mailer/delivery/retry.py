"""When a message that failed is tried again, and for how long."""

from __future__ import annotations

import random as _random
from collections.abc import Callable

_FIRST_SECONDS, _MOST_SECONDS = 2.0, 900.0
"""The first wait, which doubles each time, and the longest. Both are shorter where there is little time in all."""


def wait_after(attempt: int, waited: float, most: float, random: Callable[[], float] = _random.random) -> float | None:
    """Seconds until the next try, after ``attempt`` failed ones between which it waited so long; None: no more, as it
    would have waited for ``most`` seconds, all together."""
    base, cap = min(_FIRST_SECONDS, most / 100), min(_MOST_SECONDS, most / 10)
    seconds = backoff(attempt, base=base, cap=cap, random=random)
    return None if waited + seconds >= most else seconds


def backoff(attempt: int, *, base: float, cap: float, random: Callable[[], float] = _random.random) -> float:
    """Seconds to wait before the next try of a failed message: exponential, with full jitter.

    ``attempt`` counts the failed tries so far, from 1; ``base`` and ``cap`` are seconds. The wait is uniform
    between 0 and ``min(cap, base * 2**(attempt-1))``, so that messages which failed together do not come back
    together. ``random`` returns a float in [0, 1).
    """
    # 2.0**63 seconds is beyond any cap; a larger exponent would overflow.
    ceiling = min(cap, base * 2.0 ** min(max(attempt, 1) - 1, 63))
    return random() * ceiling
