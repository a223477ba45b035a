"""A simulator for measurements and trials."""

from __future__ import annotations

from typing import Any

from mailer.simulator.client import Simulator

UNLIMITED = 1_000_000.0
"""A rate that nothing here reaches."""


def burst(rate: float) -> float:
    """Mailer's default burst: by how many recipients a second at SES may exceed the rate."""
    return max(2.0, rate / 10)


def simulated_ses(rate: float, /, **flags: Any) -> Simulator:
    """A simulator that allows ``rate`` with mailer's default burst, any amount a day, and any other call. ``flags``
    replace those.
    """
    usual: dict[str, Any] = {
        "rate": rate,
        "bucket": burst(rate),
        "quota": -1,
        "control_rate": 0,
        "smtp": False,
        "keep": 10,
    }
    return Simulator(**{**usual, **flags})
