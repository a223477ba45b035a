"""The permits of an account. The Lua is the real one, on a real server; its clock stands still but where moved."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from mailer.queue.settlement import Settlement
from tests.support.account import Account, Worker
from tests.support.clock import Still

pytestmark = pytest.mark.usefixtures("still")


def test_half_the_burst_is_handed_out_at_once_and_half_is_for_permits_used_late(
    account: Account, worker: Worker
) -> None:
    account.allow(rate=0.5, burst=5)
    account.put("bulk", 10)
    assert len(worker.take(10)) == 3
    assert len(worker.take(10)) == 0
    assert worker.answer is not None
    assert worker.answer.good_seconds == pytest.approx(4, abs=0.001)


def test_a_refused_worker_is_told_the_moment_of_the_next_permit(account: Account, worker: Worker) -> None:
    account.allow(rate=0.5, burst=1)
    account.put("bulk", 2)
    worker.take(1)
    begin = worker.asks_again_at
    worker.take(1)
    assert worker.answer is not None
    assert worker.answer.wait_seconds is not None
    assert worker.asks_again_at - begin == pytest.approx(2, abs=0.001)
    assert not worker.answer.listen
    # So much time passes.
    account.client.hincrbyfloat(account.keys.account, "tat", -worker.answer.wait_seconds * 1e6)
    assert len(worker.take(1)) == 1


def test_waiting_workers_are_told_different_permits(account: Account) -> None:
    account.allow(rate=1, burst=1)
    account.put("bulk", 10)
    workers = [Worker(account) for _ in range(4)]
    workers[0].take(1)
    begin = workers[0].asks_again_at
    told = []
    for each in workers:
        each.take(8)
        told.append(each.asks_again_at - begin)
    assert told == pytest.approx([1, 2, 3, 4], abs=0.001)


def test_permits_that_a_slow_failure_gives_back_together_are_no_burst(
    account: Account, worker: Worker, still: Still
) -> None:
    """A host that finds out after seconds that it does not reach SES."""
    account.allow(rate=10, burst=5)
    account.put("bulk", 100)
    tags: list[str] = []
    for _ in range(30):
        still.advance(0.1)
        tags += worker.take(1)
    for tag in tags:
        worker.leases.settle(tag, Settlement("unfit", "w@web-3", "OPERATION_TIMEDOUT: no answer"))
    assert len(tags) == 30
    assert len(worker.take(50)) == 3, "half of the burst, as after any idle moment"
    assert worker.take(50) == {}
    still.advance(0.1)
    assert len(worker.take(50)) == 1


def test_permits_that_are_given_back_put_nobody_off(account: Account, worker: Worker) -> None:
    """A lane full of expired messages, or a worker that is late for each permit."""
    account.allow(rate=20, burst=1)
    account.put("bulk", 50)
    for _ in range(30):
        (tag,) = worker.take(2)
        worker.leases.settle(tag, Settlement("forget"))
    assert len(worker.take(2)) == 1
    assert worker.answer is not None
    assert worker.answer.wait_seconds is not None
    assert worker.answer.wait_seconds <= 0.051


def test_the_rate_is_kept_by_competing_workers(account: Account, still: Still) -> None:
    account.allow(rate=100, burst=41)
    account.put("bulk", 1000)
    workers = [Worker(account) for _ in range(3)]
    random = Random(1)
    taken, calls = 0, []
    for _ in range(100):
        # Now and then they are late, and later than permits are good.
        still.advance(random.choice((0.001, 0.002, 0.003, 0.01, 0.03, 0.15, 0.3)))
        for each in workers:
            still.advance(0.0005)
            taken += len(each.take(8))
            assert each.answer is not None
            calls.append(each.answer.redis_us / 1e6)
    elapsed = calls[-1] - calls[0]
    assert taken <= 100 * elapsed + 21
    # Permits that nobody asked for within the time for which they are good are lost.
    lost = sum(max(0, later - earlier - 0.2) for earlier, later in pairwise(calls))
    assert taken >= 100 * (elapsed - lost) * 0.95


def test_headroom_is_left_to_others(account: Account, worker: Worker) -> None:
    account.allow(rate=1, burst=1, rate_headroom=0.5)
    account.put("bulk", 2)
    worker.take(1)
    begin = worker.asks_again_at
    worker.take(1)
    assert worker.asks_again_at - begin == pytest.approx(2, abs=0.001)


def test_a_new_rate_holds_at_the_next_take(account: Account, worker: Worker, still: Still) -> None:
    account.allow(rate=0.01, burst=1)
    account.put("bulk", 5)
    assert len(worker.take(5)) == 1
    assert len(worker.take(5)) == 0
    account.allow(rate=1000, burst=100)
    assert worker.take(5) == {}
    assert worker.answer is not None
    assert worker.answer.wait_seconds is not None
    assert worker.answer.wait_seconds <= 0.003
    still.advance(0.01)
    assert len(worker.take(5)) == 4


def test_debts_of_a_large_burst_do_not_outlast_it(account: Account, worker: Worker, still: Still) -> None:
    account.allow(rate=1, burst=1001)
    account.put("bulk", 510)
    assert len(worker.take(510)) == 501
    account.allow(rate=100, burst=2)
    worker.take(5)
    still.advance(0.05)
    assert len(worker.take(5)) > 0


def test_a_clock_that_was_put_back_neither_stops_the_rate_nor_leaks_the_quota(
    account: Account, worker: Worker, still: Still
) -> None:
    account.allow(rate=100, quota=10)
    account.put("bulk", 3)
    (tag,) = worker.take(1)
    worker.settle(tag, "forget")
    # All was written an hour ahead.
    ahead = still.us + 3600 * 1_000_000
    account.client.hset(
        account.keys.account, mapping={"tat": ahead, "turn": ahead, "oldest": ahead // 60_000_000, "spent": 0}
    )
    worker.take(5)
    still.advance(0.05)
    taken = worker.take(5)
    assert taken
    for each in taken:
        worker.settle(each, "forget")
    assert account.field("spent") == "0"


def test_after_a_refusal_the_next_permit_comes_two_intervals_later(
    account: Account, worker: Worker, still: Still
) -> None:
    account.allow(rate=2, burst=1)
    account.put("bulk", 3)
    (tag,) = worker.take(1)
    still.advance(0.4)
    worker.settle(tag, "throttled")
    still.advance(0.5)
    assert worker.take(1) == {}
    still.advance(0.55)
    assert len(worker.take(1)) == 1


class TestCut:
    """SES refuses the rate: somebody else uses the account too."""

    @staticmethod
    def refuse(account: Account, worker: Worker, refused: int) -> None:
        """In a round of 25 seconds, so many of the 50 that the rate of two allows are refused, the last as it ends."""
        account.allow(rate=2, burst=99)
        account.put("bulk", 50)
        *most, last = worker.take(50)
        for number, tag in enumerate(most, start=1):
            worker.settle_later(tag, "throttled" if number < refused else "sent")
        worker.flush()
        account.client.hincrby(account.keys.account, "round", -25_000_000)
        worker.settle(last, "throttled")

    def test_as_much_is_taken_off_as_all_together_asked_for_too_much(self, account: Account, worker: Worker) -> None:
        self.refuse(account, worker, 12)
        # A quarter refused: a third too much was asked for, and a little is left for SES's bucket to fill.
        assert float(account.field("cut") or 1) == pytest.approx(1 - 1 / 3 - 0.04, abs=0.05)

    def test_few_and_stray_refusals_are_borne(self, account: Account, worker: Worker) -> None:
        self.refuse(account, worker, 5)
        assert account.field("cut") is None

    def test_refusals_of_calls_from_before_a_cut_do_not_count_towards_the_next(
        self, account: Account, worker: Worker, still: Still
    ) -> None:
        account.allow(rate=2, burst=199)
        account.put("bulk", 100)
        *most, last, after = worker.take(100)
        for number, tag in enumerate(most[:49]):
            worker.settle_later(tag, "throttled" if number < 12 else "sent")
        worker.flush()
        account.client.hincrby(account.keys.account, "round", -25_000_000)
        worker.settle(last, "throttled")
        cut_at = account.field("cut_at")
        assert cut_at is not None
        for tag in most[49:80]:
            worker.settle_later(tag, "throttled")
        worker.flush()
        still.advance(25)
        worker.settle(after, "throttled")
        assert account.field("cut_at") == cut_at

    @pytest.mark.parametrize(("seconds", "is_cut"), [(45, True), (75, False)])
    def test_within_a_minute_of_a_cut_fewer_refusals_cut_again(
        self, account: Account, worker: Worker, seconds: int, is_cut: bool
    ) -> None:
        before = str(account.now_us() - seconds * 1_000_000)
        account.client.hset(account.keys.account, mapping={"cut": "0.9", "cut_at": before})
        self.refuse(account, worker, 7)
        assert (account.field("cut_at") != before) is is_cut

    def test_the_rate_comes_back_slowly_first_and_is_whole_after_half_a_minute(
        self, account: Account, worker: Worker
    ) -> None:
        account.allow(rate=100_000, burst=1)
        account.put("bulk", 4)
        intervals = []
        for seconds in (0, 10, 20, 30):
            cut_at = account.now_us() - seconds * 1_000_000
            account.client.hset(account.keys.account, mapping={"cut": "0.5", "cut_at": cut_at, "tat": 0})
            worker.take(1)
            assert worker.answer is not None
            intervals.append((float(account.field("tat") or 0) - worker.answer.redis_us) / 10)
        allowed = [1 / interval for interval in intervals]
        assert allowed == pytest.approx([0.5, 0.5 + 0.5 / 27, 0.5 + 4 / 27, 1], rel=0.05)
