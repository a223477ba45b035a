from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.delivery.retry import backoff


@given(
    attempt=st.integers(1, 10_000),
    base=st.floats(0.1, 100),
    cap=st.floats(0.1, 10_000),
    draw=st.floats(0, 1, exclude_max=True),
)
def test_a_backoff_is_a_part_of_the_doubling_wait_and_never_above_the_cap(
    attempt: int, base: float, cap: float, draw: float
) -> None:
    seconds = backoff(attempt, base=base, cap=cap, random=lambda: draw)

    assert 0 <= seconds <= cap
    if attempt < 20:
        assert seconds == pytest.approx(draw * min(cap, base * 2 ** (attempt - 1)))


def test_backoffs_spread_over_the_whole_wait() -> None:
    waits = [backoff(3, base=1, cap=100) for _ in range(500)]

    assert min(waits) < 0.4
    assert 3.6 < max(waits) < 4
