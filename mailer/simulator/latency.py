"""The duration of the simulator's answers: fixed, uniform or lognormal."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from mailer.simulator.spec import Spec

if TYPE_CHECKING:
    from random import Random

_WIDEST = 10.0
_LONGEST_SECONDS = 10 * 365 * 24 * 3600.0
_DURATION = re.compile(r"(\d+(?:\.\d+)?|\.\d+)(us|ms|s|min|h)?")
_NUMBER = re.compile(r"\d+(?:\.\d+)?|\.\d+")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, None: 1.0}


def seconds(text: str) -> float:
    """Parse ``"20ms"``, ``"1.5s"``, ``"250us"``, ``"5min"``, ``"4h"`` or a bare number of seconds."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write for example 20ms or 1.5s")
    duration = float(match[1]) * _SECONDS[match[2]]
    if duration > _LONGEST_SECONDS:
        raise ValueError(f"{text!r} is a duration of more than ten years")
    return duration


@dataclass(frozen=True, slots=True)
class Latency:
    """A distribution of seconds.

    ``fixed``: always ``low``. ``uniform``: between ``low`` and ``high``. ``lognormal``: median ``low``, and
    ``high`` is the standard deviation of the logarithm (0.5 gives a p99 of about three times the median).
    """

    shape: Literal["fixed", "uniform", "lognormal"] = "fixed"
    low: float = 0.0
    high: float = 0.0
    text: str = field(default="0s", compare=False)
    """As it was written."""

    @classmethod
    def parse(cls, text: str) -> Latency:
        """Parse ``20ms`` · ``uniform:10ms-50ms`` · ``lognormal:20ms/0.5``."""
        return replace(cls._parsed(text), text=text)

    @classmethod
    def _parsed(cls, text: str) -> Latency:
        shape, colon, rest = text.partition(":")
        if not colon:
            return cls("fixed", seconds(text))
        if shape == "fixed":
            return cls("fixed", seconds(rest))
        if shape == "uniform":
            low, dash, high = rest.partition("-")
            latency = cls("uniform", seconds(low), seconds(high)) if dash else None
        elif shape == "lognormal":
            median, slash, sigma = rest.partition("/")
            latency = cls("lognormal", seconds(median), float(sigma)) if slash and _NUMBER.fullmatch(sigma) else None
        else:
            latency = None
        if (
            latency is None
            or (latency.shape == "uniform" and latency.high < latency.low)
            or (latency.shape == "lognormal" and not 0 <= latency.high <= _WIDEST)
        ):
            raise ValueError(
                f"{text!r} is not a latency: write 20ms, uniform:10ms-50ms or lognormal:20ms/0.5 (median/sigma)"
            )
        return latency

    def __str__(self) -> str:
        return self.text

    def sample(self, random: Random) -> float:
        """One random duration, in seconds."""
        if self.shape == "fixed":
            return self.low
        if self.shape == "uniform":
            return random.uniform(self.low, self.high)
        return self.low * math.exp(random.gauss(0.0, self.high))


def _latency(given: object) -> Latency:
    if isinstance(given, Latency):
        return given
    if not isinstance(given, str):
        raise ValueError(f"must be a text as 20ms, uniform:10ms-50ms or lognormal:20ms/0.5, not {given!r}")  # noqa: TRY004 - pydantic takes ValueError
    return Latency.parse(given)


Duration = Annotated[
    Latency, PlainValidator(_latency), PlainSerializer(str), WithJsonSchema({"type": "string", "format": "latency"})
]
"""A latency as a field of a noun: text outside, parsed inside."""

AT_ONCE: Any = "0s"
"""The usual default. It is a text, as a schema must show it."""


class LatencyChange(Spec):
    """A change of the latency of every answer."""

    called: ClassVar[str] = "a change of the latency"

    latency: Duration
    """`20ms`, `uniform:10ms-50ms` or `lognormal:20ms/0.5` (median/sigma)"""
