"""An SES that does not say what it did, and a quota that is used up."""

from __future__ import annotations

import pytest

from ops.soak.faults import FAULTS
from ops.soak.trial import Size
from tests.support.trials import passes

# A machine that is busy with other tests may take its time.
pytestmark = pytest.mark.timeout(400)


# Alone: it measures the share of the rate that is used.
@pytest.mark.timing
def test_every_unknown_outcome_is_accounted_for() -> None:
    fault = FAULTS["ses"]
    passes(fault, Size(messages=900, times=1))


def test_a_quota_that_is_used_up_parks_the_account_and_mail_goes_on_as_the_window_rolls() -> None:
    fault = FAULTS["quota"]
    passes(fault, fault.short)
