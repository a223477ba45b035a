"""A Redis that is useless, away, replaced, or whose clock is put."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ops.soak.faults import FAULTS, sentinel
from ops.soak.trial import Size, Trial
from tests.support.trials import kept, passes

# A machine that is busy with other tests may take its time.
pytestmark = pytest.mark.timeout(400)


def test_a_valkey_that_is_useless_away_or_killed_loses_and_doubles_nothing() -> None:
    troubles = ("script-flush", "slow", "read-only", "full", "half-open", "away", "restart", "connections")
    kept(*troubles, workers=2, proxied=True)


def test_a_clock_of_redis_that_is_put_back_and_forward_loses_and_doubles_nothing() -> None:
    kept("clock")


# Alone: a master that stands still for a second is replaced, and two of these in a row are more than is promised.
@pytest.mark.timing
def test_failovers_by_sentinels_lose_nothing_and_send_nothing_twice() -> None:
    def each(trial: Trial) -> None:
        sentinel.blows_of(sentinel.plan, sentinel.kill)(trial)
        trial.enough()

    fault = FAULTS["sentinel"]
    quick = replace(fault.set, rate=100, workers=2)
    passes(replace(fault, run=each, set=quick), Size(10**6, 1, pause=fault.long.pause))
