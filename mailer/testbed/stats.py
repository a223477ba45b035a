"""Quantiles of measured values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


def quantile(ordered: Sequence[float], share: float) -> float:
    """The quantile of values that are sorted: about ``share`` of them are below it."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Half, nine in ten and 99 in 100 of ``count`` values are within these."""

    count: int
    half: float
    nine_in_ten: float
    ninety_nine: float
    longest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Quantiles:
        ordered = sorted(values)
        if not ordered:
            return cls(0, 0.0, 0.0, 0.0, 0.0)
        half, nine_in_ten, ninety_nine = (quantile(ordered, share) for share in (0.5, 0.9, 0.99))
        return cls(len(ordered), half, nine_in_ten, ninety_nine, ordered[-1])
