"""The report of `ops.soak` says what was not tried."""

from __future__ import annotations

from ops.bench.figure import Verdict
from ops.soak.report import CODES, Report, fate_of
from ops.soak.trial import Fault, Size, carry_out

KEPT = Report("kill", "what", 1, verdicts=[Verdict("lost", 0, 0, at_most=True)])
BROKEN = Report("stop", "what", 1, verdicts=[Verdict("lost", 1, 0, at_most=True)])


def test_a_skipped_trial_is_not_kept_and_says_so_in_its_exit_code_and_json() -> None:
    size = Size(1, 1)
    skipped = carry_out(Fault("hosts", "what", print, long=size, short=size, needs=lambda: "needs root"), size, 1)
    found = skipped.to_json()
    assert (found["fate"], found["skipped"]) == ("skipped", "needs root")
    assert fate_of([KEPT, skipped]) == "skipped"
    assert fate_of([skipped, BROKEN]) == "broken"
    assert fate_of([KEPT]) == "kept"
    assert CODES["kept"] == 0
    assert 0 not in (CODES["skipped"], CODES["broken"])


def test_a_trial_with_an_error_is_broken() -> None:
    assert Report("kill", "what", 1, error="NotInTime: never").to_json()["fate"] == "broken"
    assert BROKEN.fate == "broken"
