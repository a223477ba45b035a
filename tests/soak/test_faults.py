"""Each way to break things, once and briefly: nothing lost, nothing doubled. ``make soak`` does it at length.

Several faults share a stage, as starting one takes most of the time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ops.soak.faults import FAULTS, sentinel
from ops.soak.trial import Fault, Size, Trial, carry_out

# A machine that is busy with other tests may take its time.
pytestmark = pytest.mark.timeout(400)

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
    quick = replace(first.set, rate=200, settings={**first.set.settings, **QUICK}, **changes)
    fault = Fault(
        "+".join(names),
        first.what,
        each,
        long=first.long,
        short=Size(10**6, 1, pause=0.5),
        set=quick,
        needs=first.needs,
    )
    report = carry_out(fault, fault.short, SEED)
    if report.skipped:
        pytest.skip(report.skipped)
    assert not report.error, report.error
    assert [str(verdict) for verdict in report.verdicts if not verdict.met] == [], report.notes


def test_killed_stalled_and_stopped_workers_lose_nothing_and_double_only_what_they_held() -> None:
    kept("kill", "stall", "stop", workers=2)


def test_a_valkey_that_is_useless_away_or_killed_loses_and_doubles_nothing() -> None:
    troubles = ("script-flush", "slow", "read-only", "full", "half-open", "away", "restart", "connections")
    kept(*troubles, workers=2, proxied=True)


def test_a_host_that_was_cut_off_loses_nothing_and_comes_back() -> None:
    kept("hosts", workers=2)


def test_a_clock_of_redis_that_is_put_back_and_forward_loses_and_doubles_nothing() -> None:
    kept("clock")


def test_one_host_that_cannot_send_takes_nothing_from_the_others() -> None:
    fault = FAULTS["host"]
    report = carry_out(fault, fault.short, SEED)
    assert not report.error, report.error
    assert [str(verdict) for verdict in report.verdicts if not verdict.met] == [], report.notes


def test_credentials_that_are_replaced_and_short_lived_ones_lose_no_mail_and_none_of_the_rate() -> None:
    kept("rotated", "short-lived")


def test_every_unknown_outcome_is_accounted_for() -> None:
    fault = FAULTS["ses"]
    report = carry_out(fault, Size(messages=900, times=1), SEED)
    assert not report.error, report.error
    assert [str(verdict) for verdict in report.verdicts if not verdict.met] == [], report.notes


def test_a_quota_that_is_used_up_parks_the_account_and_mail_goes_on_as_the_window_rolls() -> None:
    fault = FAULTS["quota"]
    report = carry_out(fault, fault.short, SEED)
    assert not report.error, report.error
    assert [str(verdict) for verdict in report.verdicts if not verdict.met] == [], report.notes


def test_failovers_by_sentinels_lose_nothing_and_send_nothing_twice() -> None:
    def each(trial: Trial) -> None:
        sentinel.blows_of(sentinel.plan, sentinel.stop, sentinel.kill)(trial)
        trial.enough()

    fault = FAULTS["sentinel"]
    quick = replace(fault.set, rate=100, workers=2, settings={**fault.set.settings, **QUICK})
    report = carry_out(replace(fault, run=each, set=quick), Size(10**6, 1, pause=0.0), SEED)
    assert not report.error, report.error
    assert [str(verdict) for verdict in report.verdicts if not verdict.met] == [], report.notes
