"""The limits by themselves, at moments of the test's choosing."""

from __future__ import annotations

import pytest

from mailer.simulator.clock import Clock
from mailer.simulator.limits import DAY, RollingWindow, TokenBucket
from mailer.simulator.traffic import Traffic


def test_five_recipients_at_one_a_second_are_followed_by_five_seconds_of_refusals() -> None:
    bucket = TokenBucket(rate=1, capacity=1, now=0)
    assert bucket.admits(0)
    bucket.spend(5)

    assert not any(bucket.admits(tenths / 10) for tenths in range(50))
    assert bucket.admits(5)


def test_a_bucket_never_holds_more_than_its_capacity() -> None:
    bucket = TokenBucket(rate=10, capacity=3, now=0)

    assert bucket.tokens(1000) == 3


@pytest.mark.parametrize("rate", [1, 3, 7, 14, 14.3, 333, 1000])
def test_a_sender_pacing_exactly_at_the_rate_is_never_refused(rate: float) -> None:
    start = 1_795_000_000.123
    bucket = TokenBucket(rate, 1, start)

    for number in range(3000):
        assert bucket.admits(start + number / rate), number
        bucket.spend(1)


def test_a_raised_rate_does_not_reward_the_time_before_it() -> None:
    bucket = TokenBucket(rate=1, capacity=10, now=0)
    bucket.spend(20)

    bucket.reshape(rate=100, capacity=100, now=5)

    assert bucket.tokens(5) == -5


def test_a_full_bucket_stays_full_when_it_grows() -> None:
    bucket = TokenBucket(rate=1, capacity=1, now=0)

    bucket.reshape(rate=50, capacity=50, now=1)

    assert bucket.tokens(1) == 50


def test_a_send_leaves_the_quota_exactly_a_day_later() -> None:
    window = RollingWindow()
    window.add(100.0, 3)
    window.add(160.5, 2)

    assert window.total(100.0 + DAY - 0.001) == 5
    assert window.total(100.0 + DAY) == 2
    assert window.total(160.5 + DAY) == 0


def test_the_window_is_exact_while_it_drops_thousands() -> None:
    window = RollingWindow()
    for number in range(20_000):
        window.add(float(number), 1)

    assert [window.total(DAY + moment) for moment in (0, 4999, 9999, 19_998)] == [19_999, 15_000, 10_000, 1]


def test_beyond_its_exact_entries_the_window_frees_late_and_never_early() -> None:
    window = RollingWindow(exact_entries=100)
    for number in range(1000):
        window.add(float(number), 1)

    assert window.total(999) == 1000
    for moment in range(0, 1000, 7):
        assert window.total(DAY + moment) >= 999 - moment
    assert window.total(DAY + 999) == 0


def test_the_busiest_second_is_found_wherever_it_begins() -> None:
    traffic = Traffic()
    for at, recipients in ((0.0, 1), (0.9, 2), (1.0, 4), (1.8, 8), (1.95, 1), (5.0, 9)):
        traffic.accept(at, recipients)

    # At 1.8 the window (0.8, 1.8] holds 2 + 4 + 8; at 1.95 the 2 is out; what is exactly a second old is out.
    assert traffic.most_in_one_second == 14


def test_slots_count_accepted_and_refused_recipients_per_tenth_of_a_second() -> None:
    traffic = Traffic()
    traffic.accept(10.01, 1)
    traffic.accept(10.09, 2)
    traffic.refuse(10.05, "rate", 5)
    traffic.accept(10.31, 1)

    assert traffic.slots() == [(10.0, 3, 5), (10.3, 1, 0)]
    assert traffic.slots(since=10.2) == [(10.3, 1, 0)]


def test_a_frozen_clock_moves_only_when_told() -> None:
    clock = Clock()
    clock.freeze()
    start = clock.now()
    assert clock.now() == start

    clock.advance(26 * 3600)
    assert clock.now() == start + 26 * 3600

    clock.resume()
    assert start + 26 * 3600 <= clock.now() < start + 26 * 3600 + 1


def test_time_does_not_leave_the_calendar() -> None:
    with pytest.raises(ValueError, match="year 9999"):
        Clock().advance(1e308)


def test_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="only moves forward"):
        Clock().advance(-1)
