"""When the quota lets mail go, foretold minute by minute."""

from __future__ import annotations

import dataclasses

import pytest

from mailer.operations.forecast import Allowance, foresee

WINDOW_MINUTES = 1441
MINUTE = 28_000_000
AT = MINUTE * 60.0
ALLOWANCE = Allowance(per_second=10, per_day=1000, charged={}, by_others=0, reserve=0.0, window_minutes=WINDOW_MINUTES)


def allowed(**changes: object) -> Allowance:
    return dataclasses.replace(ALLOWANCE, **changes)  # type: ignore[arg-type]


def test_without_a_quota_the_rate_decides() -> None:
    found = foresee(AT, allowed(per_day=None), urgent=0, other=100_000)
    assert (found.resumes_at, found.leaving) == (AT, 0)
    assert found.done_at == pytest.approx(AT + 10_000, rel=1e-6)


def test_mail_goes_as_the_window_rolls_message_by_message() -> None:
    charged = {MINUTE - 1400: 3, MINUTE - 1300: 400, MINUTE - 1: 597}
    found = foresee(AT, allowed(charged=charged), urgent=0, other=403)
    assert (found.resumes_at, found.leaving) == (AT + (WINDOW_MINUTES + 1 - 1400) * 60, 3)
    assert found.done_at == pytest.approx(AT + (WINDOW_MINUTES + 1 - 1300) * 60, abs=60)


def test_a_backlog_of_many_days_takes_as_many_windows() -> None:
    found = foresee(AT, ALLOWANCE, urgent=0, other=100_500)
    assert found.done_at == pytest.approx(AT + 100 * (WINDOW_MINUTES + 1) * 60, abs=120)


def test_others_keep_what_they_have_of_it() -> None:
    found = foresee(AT, allowed(by_others=600), urgent=0, other=1000)
    assert found.done_at == pytest.approx(AT + 2 * (WINDOW_MINUTES + 1) * 60, abs=60)
    found = foresee(AT, allowed(by_others=1000), urgent=1, other=1)
    assert (found.resumes_at, found.done_at) == (None, None)


def test_the_reserve_is_for_urgent_mail() -> None:
    used = allowed(charged={MINUTE - 10: 950}, reserve=0.1)
    assert foresee(AT, used, urgent=1, other=1).resumes_at == AT
    assert foresee(AT, used, urgent=0, other=1).resumes_at == AT + (WINDOW_MINUTES + 1 - 10) * 60


def test_without_a_backlog_it_says_when_mail_could_go() -> None:
    found = foresee(AT, allowed(charged={MINUTE - 1: 1000}), urgent=0, other=0)
    assert (found.resumes_at, found.done_at) == (AT + WINDOW_MINUTES * 60, None)
