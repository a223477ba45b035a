"""Read a stored number that somebody may have overwritten with anything. The same as number.lua."""

from __future__ import annotations

import math
from typing import Any, TypeVar

T = TypeVar("T")


def number_or(otherwise: T, stored: Any) -> float | T:
    """The number in ``stored``; ``otherwise`` if it is not a finite number."""
    try:
        found = float(stored)
    except (TypeError, ValueError, OverflowError):
        return otherwise
    return found if math.isfinite(found) else otherwise
