"""The short form of ``python -m tests.unit.simulator.fuzz``."""

from __future__ import annotations

from tests.unit.simulator.fuzz.run import run


def test_nothing_malformed_crashes_it_or_makes_it_grow() -> None:
    report = run(count=1200, seed=7)

    assert report.findings == []
    assert sum(report.tried.values()) == 1200
    assert max(report.megabytes) < report.megabytes[0] + 60
    assert max(report.own_megabytes) < report.own_megabytes[0] + 100
