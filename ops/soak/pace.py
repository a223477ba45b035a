"""The measured rate of mail."""

from __future__ import annotations

import time
from itertools import pairwise
from statistics import median

from ops.soak.stage import Stage


def per_second(stage: Stage, seconds: int) -> float:
    """The median of SES's accepted recipients per second over so many seconds, the better of two runs. The better one,
    as a machine that stands still for a moment sends less."""
    return max(_median_second(stage, seconds) for _ in range(2))


def _median_second(stage: Stage, seconds: int) -> float:
    seen = [(time.monotonic(), stage.sent())]
    for _ in range(seconds):
        time.sleep(1)
        seen.append((time.monotonic(), stage.sent()))
    return median((more - sent) / (end - begin) for (begin, sent), (end, more) in pairwise(seen))
