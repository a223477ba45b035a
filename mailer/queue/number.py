"""Read a stored number that somebody may have overwritten with anything. The same as number.lua."""

from __future__ import annotations

import math
from typing import TypeVar

T = TypeVar("T")


def number_or(otherwise: T, text: str | bytes | float | None) -> float | T:
    """The number in ``text``; ``otherwise`` if it is not a finite number."""
    try:
        found = float("" if text is None else text)
    except ValueError:
        return otherwise
    return found if math.isfinite(found) else otherwise
