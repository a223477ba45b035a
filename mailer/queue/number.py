"""What is stored as a number, where anything may have been written over it: the same as in number.lua."""

from __future__ import annotations

import math
from typing import TypeVar

T = TypeVar("T")


def number_or(otherwise: T, text: str | bytes | float | None) -> float | T:
    """The number that the text says; ``otherwise`` where it says none."""
    try:
        found = float("" if text is None else text)
    except ValueError:
        return otherwise
    return found if math.isfinite(found) else otherwise
