"""Messages that nobody should enqueue cost the others nothing."""

from __future__ import annotations

import pytest

from ops.soak.faults import FAULTS
from tests.support.trials import passes

# A machine that is busy with other tests may take its time.
pytestmark = [pytest.mark.timeout(400), pytest.mark.timing]


def test_urgent_mail_goes_on_beside_each_and_no_worker_grows() -> None:
    passes(FAULTS["hostile"], FAULTS["hostile"].short)
