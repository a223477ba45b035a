"""Workers that are killed, stand still, stop, and are cut off."""

from __future__ import annotations

import pytest

from tests.support.trials import kept

# A machine that is busy with other tests may take its time.
pytestmark = pytest.mark.timeout(400)


def test_killed_stalled_and_stopped_workers_lose_nothing_and_double_only_what_they_held() -> None:
    kept("kill", "stall", "stop", workers=2)


def test_a_host_that_was_cut_off_loses_nothing_and_comes_back() -> None:
    kept("hosts", workers=2)
