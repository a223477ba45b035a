"""The waits between the attempts of a message that failed, and their end."""

from __future__ import annotations

import random as _random
from collections.abc import Callable

_FIRST_SECONDS, _MOST_SECONDS = 2.0, 900.0
"""The first wait, which doubles each time, and the longest wait. Both are shorter where the total time is short."""

Draw = Callable[[], float]
"""Returns a float in [0, 1)."""
draw: Draw = _random.random


def wait_after(attempt: int, waited: float, most: float, random: Draw = draw) -> float | None:
    """Seconds until the next try, after ``attempt`` failed tries and ``waited`` seconds between them. None ends the
    tries: the waits would reach ``most`` seconds in total."""
    base, cap = min(_FIRST_SECONDS, most / 100), min(_MOST_SECONDS, most / 10)
    seconds = backoff(attempt, base=base, cap=cap, random=random)
    return None if waited + seconds >= most else seconds


def backoff(attempt: int, *, base: float, cap: float, random: Draw = draw) -> float:
    """Exponential backoff with full jitter, after ``attempt`` failed tries (from 1). ``base`` and ``cap`` are seconds.

    The wait is uniform between 0 and ``min(cap, base * 2**(attempt-1))``, so that messages that failed together are not
    tried again together.
    """
    # 2.0**63 seconds exceed any cap. A much larger exponent would overflow.
    return random() * min(cap, base * 2.0 ** min(max(attempt, 1) - 1, 63))
