"""Each way to break things, once and briefly: nothing lost, nothing doubled. ``make soak`` does it at length.

Several faults share a stage, as starting one takes most of the time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ops.soak.faults import FAULTS
from ops.soak.trial import Fault, Size, Trial, carry_out

SEED = 20
QUICK = {
    "connect_timeout_seconds": 0.5,
    "read_timeout_seconds": 1.5,
    "lease_seconds": 5.0,
    "redis_timeout_seconds": 1.0,
}


def kept(*names: str, **changes: Any) -> None:
    """These faults, one after the other on one stage; the trial breaks no promise."""

    def each(trial: Trial) -> None:
        for name in names:
            FAULTS[name].run(trial)
        trial.enough()

    first = FAULTS[names[0]]
    quick = replace(
        first.set, rate=100, latency="uniform:10ms-120ms", settings={**first.set.settings, **QUICK}, **changes
    )
    fault = Fault(
        "+".join(names),
        first.what,
        each,
        long=first.long,
        short=Size(10**6, 1, pause=0.5),
        set=quick,
        needs=first.needs,
    )
    passes(fault, fault.short)


def passes(fault: Fault, size: Size) -> None:
    """The trial of this fault breaks no promise."""
    report = carry_out(fault, size, SEED)
    if report.skipped:
        pytest.skip(report.skipped)
    assert not report.error, report.error
    broken = [str(verdict) for verdict in report.verdicts if not verdict.met]
    assert not broken, (broken, report.notes)
