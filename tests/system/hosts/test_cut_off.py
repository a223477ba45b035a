"""Hosts that cannot send, and credentials that end."""

from __future__ import annotations

import pytest

from ops.soak.faults import FAULTS
from tests.support.trials import kept, passes

# A machine that is busy with other tests may take its time.
pytestmark = pytest.mark.timeout(400)


def test_one_host_that_cannot_send_takes_nothing_from_the_others() -> None:
    fault = FAULTS["host"]
    passes(fault, fault.short)


def test_hours_in_which_ses_is_not_reached_cost_no_attempt_and_no_mail() -> None:
    fault = FAULTS["unreachable"]
    passes(fault, fault.short)


def test_credentials_that_are_replaced_and_short_lived_ones_lose_no_mail_and_none_of_the_rate() -> None:
    kept("rotated", "short-lived")
