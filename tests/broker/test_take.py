"""What one call of take decides. The Lua is the real one, on a real server; its clock stands still but where moved."""

from __future__ import annotations

import uuid
from itertools import pairwise
from random import Random

import pytest

from mailer.broker.leases import Call, Settlement
from mailer.broker.queue import Entry
from mailer.broker.script import script
from tests.broker.clock import Still
from tests.broker.conftest import SENT, Account, Worker, envelope

pytestmark = pytest.mark.usefixtures("still")


def moment(worker: Worker) -> float:
    """When the worker was told to ask again by its last answer, epoch seconds by Redis's clock."""
    assert worker.answer is not None
    assert worker.answer.wait_seconds is not None
    return worker.answer.redis_us / 1e6 + worker.answer.wait_seconds


def test_messages_leave_in_the_order_they_came(account: Account, worker: Worker) -> None:
    ids = account.put("bulk", 5)
    assert list(worker.take(5).values()) == ids


def test_the_urgent_lane_goes_first(account: Account, worker: Worker) -> None:
    bulk = account.put("bulk", 3)
    urgent = account.put("transactional", 2)
    assert list(worker.take(3).values()) == [*urgent, bulk[0]]


def test_a_worker_gets_no_more_than_it_asks_for(account: Account, worker: Worker) -> None:
    account.put("bulk", 5)
    assert len(worker.take(2)) == 2
    assert account.length("bulk") == 3


def test_a_worker_gets_only_the_lanes_it_serves(account: Account) -> None:
    account.put("transactional", 1)
    bulk = account.put("bulk", 1)
    assert list(Worker(account, lanes=("bulk",)).take(5).values()) == bulk


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
    begin = moment(worker)
    worker.take(1)
    assert worker.answer is not None
    assert worker.answer.wait_seconds is not None
    assert moment(worker) - begin == pytest.approx(2, abs=0.001)
    assert not worker.answer.listen
    # So much time passes.
    account.client.hincrbyfloat(account.keys.account, "tat", -worker.answer.wait_seconds * 1e6)
    assert len(worker.take(1)) == 1


def test_waiting_workers_are_told_different_permits(account: Account) -> None:
    account.allow(rate=1, burst=1)
    account.put("bulk", 10)
    workers = [Worker(account) for _ in range(4)]
    workers[0].take(1)
    begin = moment(workers[0])
    told = []
    for each in workers:
        each.take(8)
        told.append(moment(each) - begin)
    assert told == pytest.approx([1, 2, 3, 4], abs=0.001)


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
    begin = moment(worker)
    worker.take(1)
    assert moment(worker) - begin == pytest.approx(2, abs=0.001)


def test_nothing_is_handed_out_before_the_limits_are_known(account: Account, worker: Worker) -> None:
    account.client.delete(account.keys.account)
    account.put("bulk", 1)
    assert worker.take(1) == {}
    assert worker.answer is not None
    assert worker.answer.refresh_limits


def test_one_worker_at_a_time_is_told_to_refresh_the_limits(account: Account) -> None:
    account.client.delete(account.keys.account)
    told = []
    for each in [Worker(account) for _ in range(4)]:
        each.take(1)
        assert each.answer is not None
        told.append(each.answer.refresh_limits)
    assert told == [True, False, False, False]


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


def test_an_idle_worker_listens_and_looks_again_within_a_second(account: Account, worker: Worker) -> None:
    worker.take(4)
    assert worker.answer is not None
    assert worker.answer.listen
    assert worker.answer.wait_seconds == pytest.approx(1.0)


def test_one_new_message_rings_once(account: Account, worker: Worker) -> None:
    worker.take(1)
    account.put("bulk", 1)
    account.put("bulk", 1)
    assert account.client.llen(account.keys.doorbell) == 1


def test_who_leaves_work_behind_rings_for_another(account: Account, worker: Worker) -> None:
    account.put("bulk", 3)
    account.client.delete(account.keys.doorbell)
    worker.take(1)
    assert account.client.llen(account.keys.doorbell) == 1


class TestQuota:
    """The rolling 24-hour window."""

    def test_no_more_than_the_quota_is_handed_out(self, account: Account, worker: Worker) -> None:
        account.allow(rate=1000, quota=4, burst=100, quota_reserve=0)
        account.put("bulk", 10)
        assert len(worker.take(10)) == 4
        assert len(worker.take(10)) == 0

    def test_bulk_leaves_the_reserve_to_the_urgent_lane(self, account: Account, worker: Worker) -> None:
        account.allow(rate=1000, quota=10, burst=100, quota_reserve=0.3)
        account.put("bulk", 20)
        assert len(worker.take(20)) == 7
        urgent = account.put("transactional", 5)
        assert list(worker.take(20).values()) == urgent[:3]

    def test_what_others_sent_counts(self, account: Account, worker: Worker) -> None:
        account.allow(rate=1000, quota=10, burst=100, quota_reserve=0, sent=8)
        account.put("bulk", 10)
        assert len(worker.take(10)) == 2

    def test_a_minute_leaves_the_window_when_all_that_was_sent_in_it_is_a_day_old(
        self, account: Account, worker: Worker
    ) -> None:
        account.allow(rate=1000, quota=5, burst=100, quota_reserve=0)
        minute = account.now_us() // 60_000_000
        account.client.hset(account.keys.quota, mapping={minute - 1442: 3, minute - 1441: 2})
        account.client.hset(account.keys.account, mapping={"spent": 5, "oldest": minute - 1442})
        account.put("bulk", 10)
        assert len(worker.take(10)) == 3
        assert account.client.hexists(account.keys.quota, str(minute - 1442)) is False

    def test_after_days_of_silence_the_window_is_empty(self, account: Account, worker: Worker) -> None:
        account.allow(rate=1000, quota=5, burst=100, quota_reserve=0)
        account.client.hset(account.keys.quota, "1000", 5)
        account.client.hset(account.keys.account, mapping={"spent": 5, "oldest": 1000})
        account.put("bulk", 10)
        assert len(worker.take(10)) == 5

    @pytest.mark.parametrize("verb", ["back", "throttled", "retry", "dead", "forget", "defer"])
    def test_it_is_given_back_for_what_ses_did_not_accept(self, account: Account, worker: Worker, verb: str) -> None:
        account.put("bulk", 1)
        (tag,) = worker.take(1)
        worker.settle(tag, verb, 0, "{}")
        assert account.field("spent") == "0"

    @pytest.mark.parametrize("verb", ["sent", "resend", "hold"])
    def test_it_stays_spent_for_what_ses_may_have_accepted(self, account: Account, worker: Worker, verb: str) -> None:
        account.put("bulk", 1)
        (tag,) = worker.take(1)
        worker.settle(tag, verb, 0, "{}")
        assert account.field("spent") == "1"


class TestOthers:
    """Their mail counts in the quota, and only SES knows of it."""

    def test_a_refusal_tells_how_much_is_theirs(self, account: Account, worker: Worker) -> None:
        account.allow(rate=1000, quota=10, burst=100, quota_reserve=0)
        ids = account.put("bulk", 10)
        taken = worker.take(6)
        *sent, refused = taken
        for tag in sent:
            worker.settle(tag, "sent")
        worker.settle(refused, "over_quota", "TooManyRequestsException", "Daily message quota exceeded.")
        assert (account.field("others"), account.field("spent")) == ("5", "5")
        assert account.field("over_quota") == "TooManyRequestsException: Daily message quota exceeded."
        assert worker.take(10) == {}
        assert account.whereabouts()[::-1] == ids[5:]

    def test_after_it_ours_goes_on_message_by_message_as_ours_leaves_the_window(
        self, account: Account, worker: Worker
    ) -> None:
        account.allow(rate=1000, quota=10, burst=100, quota_reserve=0)
        account.put("bulk", 20)
        for count in (2, 3):
            for tag in worker.take(count):
                worker.settle(tag, "sent")
            account.wait(100)
        (refused,) = worker.take(1)
        worker.settle(refused, "over_quota", "x", "Daily message quota exceeded.")
        account.client.hset(account.keys.account, "others_at", 2**52)
        account.wait(1241)
        assert len(worker.take(10)) == 0
        account.wait(1)
        assert len(worker.take(10)) == 2
        account.wait(100)
        assert len(worker.take(10)) == 3

    def test_the_counter_does_not_take_back_what_a_refusal_taught_while_it_may_lag(
        self, account: Account, worker: Worker
    ) -> None:
        account.allow(rate=1000, quota=10, burst=100, quota_reserve=0)
        account.put("bulk", 10)
        (refused,) = worker.take(1)
        worker.settle(refused, "over_quota", "x", "Daily message quota exceeded.")
        account.allow(rate=1000, quota=10, burst=100, quota_reserve=0, sent=4)
        assert worker.take(10) == {}
        account.wait(6)
        account.allow(rate=1000, quota=10, burst=100, quota_reserve=0, sent=8)
        assert len(worker.take(10)) == 2

    def test_their_mail_that_leaves_the_window_makes_room(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 20)
        account.allow(rate=1000, quota=10, burst=100, quota_reserve=0, sent=9)
        assert len(worker.take(10)) == 1
        account.wait(10)
        account.allow(rate=1000, quota=10, burst=100, quota_reserve=0, sent=6)
        assert len(worker.take(10)) == 4

    def test_a_counter_that_lags_is_not_taken_for_theirs_having_left(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 20)
        account.allow(rate=1000, quota=10, burst=100, quota_reserve=0, sent=3)
        assert len(worker.take(5)) == 5
        # It counts theirs, and of our five none yet.
        account.allow(rate=1000, quota=10, burst=100, quota_reserve=0, sent=3)
        assert len(worker.take(10)) == 2

    def test_ours_that_ses_has_let_go_of_before_us_does_not_hide_theirs(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 20)
        account.allow(rate=1000, quota=10, burst=100, quota_reserve=0, sent=3)
        assert len(worker.take(7)) == 7
        account.wait(1440)
        # Of ours it counts four still, while we count seven for another minute or two; theirs has stayed.
        account.allow(rate=1000, quota=10, burst=100, quota_reserve=0, sent=7)
        account.wait(2)
        assert len(worker.take(10)) == 7

    def test_what_a_refusal_taught_is_forgotten_where_the_counter_is_not_to_be_had(
        self, account: Account, worker: Worker
    ) -> None:
        account.allow(rate=1000, quota=10, burst=100, quota_reserve=0)
        account.put("bulk", 20)
        (refused,) = worker.take(1)
        worker.settle(refused, "over_quota", "x", "Daily message quota exceeded.")
        account.wait(59)
        assert worker.take(1) == {}
        account.wait(2)
        assert len(worker.take(20)) == 10

    def test_the_counter_is_asked_for_while_theirs_counts_even_if_the_limits_are_set(
        self, account: Account, worker: Worker
    ) -> None:
        account.allow(rate=1000, quota=10, burst=100)
        account.put("bulk", 3)
        account.wait(5)
        (refused,) = worker.take(1)
        assert worker.answer is not None
        assert not worker.answer.refresh_limits
        worker.settle(refused, "over_quota", "x", "Daily message quota exceeded.")
        told = []
        for minutes in (0, 0, 1, 1):
            account.wait(minutes)
            worker.take(1)
            told.append(worker.answer.refresh_limits)
        assert sum(told) == 2

    def test_a_refusal_where_no_quota_is_known_stops_the_account(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 1)
        (tag,) = worker.take(1)
        worker.settle(tag, "over_quota", "TooManyRequestsException", "Daily message quota exceeded.")
        assert account.field("stopped") == "TooManyRequestsException: Daily message quota exceeded."
        assert worker.take(1) == {}


class TestStop:
    """SES takes nothing until a person has acted, and one message at a time finds out when."""

    @pytest.fixture
    def stopped(self, account: Account, worker: Worker) -> list[str]:
        """The ids of the messages that wait, in order."""
        ids = account.put("transactional", 8)
        for tag in reversed(worker.take(3)):
            worker.settle(tag, "stop", "AccountSuspendedException", "Ask AWS.")
        return ids

    def test_nothing_is_handed_out_and_nothing_is_lost(
        self, account: Account, worker: Worker, stopped: list[str]
    ) -> None:
        assert worker.take(8) == {}
        assert account.whereabouts() == stopped[::-1]
        assert account.field("stopped") == "AccountSuspendedException: Ask AWS."
        assert account.field("paused") is None

    def test_after_a_minute_one_message_is_let_through_and_if_it_is_sent_all_are(
        self, account: Account, worker: Worker, stopped: list[str]
    ) -> None:
        account.wait(1)
        probe = worker.take(8)
        assert list(probe.values()) == stopped[:1]
        assert worker.take(8) == {}
        worker.settle(*probe, "sent")
        assert list(worker.take(8).values()) == stopped[1:]
        assert [account.field(name) for name in ("stopped", "stopped_at", "probe", "probe_at")] == [None] * 4

    def test_it_is_let_through_less_and_less_often(self, account: Account, worker: Worker, stopped: list[str]) -> None:
        passed, at = 0, []
        while passed < 70:
            account.wait(1)
            passed += 1
            for tag in worker.take(8):
                at.append(passed)
                worker.settle(tag, "stop", "AccountSuspendedException", "Ask AWS.")
        assert at == [1, 3, 7, 15, 30, 45, 60]
        assert account.whereabouts() == stopped[::-1]

    def test_what_was_in_flight_when_it_stopped_neither_ends_it_nor_puts_it_off(
        self, account: Account, worker: Worker
    ) -> None:
        account.put("bulk", 4)
        first, second, third, _ = worker.take(4)
        worker.settle(first, "stop", "AccessDeniedException", "No.")
        due = account.field("probe_at")
        worker.settle(second, "stop", "AccessDeniedException", "No.")
        worker.settle(third, "sent")
        assert (account.field("stopped"), account.field("probe_at")) == ("AccessDeniedException: No.", due)

    @pytest.mark.parametrize(
        ("verb", "minutes"), [("throttled", 1), ("retry", 1), ("hold", 1), ("dead", 1), ("back", 0)]
    )
    def test_an_outcome_that_says_nothing_leaves_it_to_the_next(
        self, account: Account, worker: Worker, stopped: list[str], verb: str, minutes: int
    ) -> None:
        account.wait(1)
        (probe,) = worker.take(8)
        worker.settle(probe, verb, 10**9, "{}")
        account.wait(minutes)
        assert len(worker.take(8)) == 1
        assert account.field("probe_wait") == "60000000"

    def test_a_worker_that_dies_with_the_probe_does_not_end_the_probing(
        self, account: Account, worker: Worker, stopped: list[str]
    ) -> None:
        account.wait(1)
        assert len(Worker(account).take(8)) == 1
        assert worker.take(8) == {}
        account.wait(1)
        assert len(worker.take(8)) == 1

    def test_while_getaccount_says_no_nothing_is_tried_and_when_it_says_yes_one_is_at_once(
        self, account: Account, worker: Worker, stopped: list[str]
    ) -> None:
        for _ in range(30):
            account.allow(rate=1000, burst=100, sent=0, allows=False)
            account.wait(1)
            assert worker.take(8) == {}
        account.allow(rate=1000, burst=100, sent=0, allows=True)
        assert len(worker.take(8)) == 1

    def test_what_getaccount_said_once_is_not_believed_for_ever(
        self, account: Account, worker: Worker, stopped: list[str]
    ) -> None:
        account.allow(rate=1000, burst=100, sent=0, allows=False)
        account.wait(6)
        assert len(worker.take(8)) == 1

    def test_a_person_may_pause_it_meanwhile(self, account: Account, worker: Worker, stopped: list[str]) -> None:
        account.client.hset(account.keys.account, "paused", "for the night")
        account.wait(2)
        assert worker.take(8) == {}
        account.client.hdel(account.keys.account, "paused")
        assert len(worker.take(8)) == 1

    def test_the_limits_are_asked_for_once_when_it_stops_and_then_once_a_minute(
        self, account: Account, worker: Worker
    ) -> None:
        account.put("bulk", 4)
        (tag,) = worker.take(1)
        worker.leases.settle(tag, Settlement("stop", "AccessDeniedException", "No."))
        told = []
        for minutes in (0, 0, 0, 2, 0, 2, 0):
            account.wait(minutes)
            worker.take(2)
            assert worker.answer is not None
            told.append(worker.answer.refresh_limits)
        assert told == [True, False, False, True, False, True, False]


class TestSettling:
    """One verb, one place."""

    def test_sent_is_gone(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 1)
        (tag,) = worker.take(1)
        worker.settle(tag, "sent")
        assert account.whereabouts() == []
        assert account.client.zcard(account.keys.leases) == 0

    def test_back_is_at_the_head_of_its_lane(self, account: Account, worker: Worker) -> None:
        first, second = account.put("bulk", 2)
        (tag,) = worker.take(1)
        worker.settle(tag, "back")
        assert list(worker.take(2).values()) == [first, second]

    def test_back_gives_the_permit_back(self, account: Account, worker: Worker) -> None:
        account.allow(rate=0.01, burst=1)
        account.put("bulk", 1)
        (tag,) = worker.take(1)
        worker.settle(tag, "back")
        assert len(worker.take(1)) == 1

    def test_throttled_is_at_the_head_and_a_few_of_them_cut_nothing(self, account: Account, worker: Worker) -> None:
        account.allow(rate=100, burst=10)
        ids = account.put("bulk", 3)
        tags = worker.take(3)
        for tag in reversed(tags):
            worker.settle(tag, "throttled")
        assert account.whereabouts() == list(reversed(ids))
        assert account.field("cut") is None

    def test_throttled_often_cuts_the_rate_once(self, account: Account, worker: Worker) -> None:
        # A round takes as long as thirty permits.
        account.allow(rate=10, burst=199)
        account.put("bulk", 100)
        *most, after_the_round, soon_after = worker.take(100)
        for tag in most:
            worker.leases.settle(tag, Settlement("throttled"))
        worker.take(0)
        assert account.field("cut") is None
        account.client.hincrby(account.keys.account, "round", -3_100_000)
        worker.settle(after_the_round, "throttled")
        # Most calls were refused: as much as is ever cut at once.
        assert float(account.field("cut") or 1) == pytest.approx(0.5, abs=0.01)
        worker.settle(soon_after, "throttled")
        assert float(account.field("cut") or 1) == pytest.approx(0.5, abs=0.01)

    def test_a_paused_lane_does_not_hold_the_others(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 1)
        urgent = account.put("transactional", 1)
        account.client.hset(account.keys.account, "paused:bulk", "moving house")
        assert list(worker.take(5).values()) == urgent

    def test_retry_waits_in_the_schedule_with_its_new_envelope(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 1)
        (tag,) = worker.take(1)
        worker.settle(tag, "retry", 60_000_000, '{"body": "", "headers": {"id": "again"}}')
        assert worker.take(1) == {}
        account.make_due()
        assert list(worker.take(1).values()) == ["again"]

    def test_dead_keeps_the_words_and_the_message(self, account: Account, worker: Worker) -> None:
        (message_id,) = account.put("bulk", 1)
        (tag,) = worker.take(1)
        worker.settle(tag, "dead", "MessageRejected", "Email address is not verified.")
        reason = account.aside("dead")[message_id]
        assert (reason["lane"], reason["code"]) == ("bulk", "MessageRejected")
        assert reason["detail"] == "Email address is not verified."
        assert account.whereabouts() == [message_id]

    def test_settling_twice_changes_nothing(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 1)
        (tag,) = worker.take(1)
        for verb in ("back", "sent", "back"):
            arguments = worker._take.arguments(
                worker.leases, Call(9, 0, 0.0, settlements=[(tag, Settlement(verb))]), ()
            )
            account.client.execute_command(*worker._take.command(arguments, by_text=True))
        assert account.length("bulk") == 1


class TestLeases:
    """Taken means leased."""

    def test_an_expired_lease_goes_back_where_the_lane_resends(self, account: Account, worker: Worker) -> None:
        ids = account.put("transactional", 2)
        Worker(account).take(1)
        account.end_leases()
        assert list(worker.take(2).values()) == ids

    def test_an_expired_lease_is_held_where_the_lane_holds(self, account: Account, worker: Worker) -> None:
        (message_id,) = account.put("bulk", 1)
        Worker(account).take(1)
        account.end_leases()
        assert worker.take(1) == {}
        assert account.aside("held")[message_id]["code"] == "LeaseExpired"

    def test_who_lost_its_lease_settles_nothing(self, account: Account, worker: Worker) -> None:
        (message_id,) = account.put("transactional", 1)
        slow = Worker(account)
        (lost,) = slow.take(1)
        account.end_leases()
        (tag,) = worker.take(1)
        slow.settle(lost, "dead", "X", "Y")
        assert account.aside("dead") == {}
        assert account.whereabouts() == [message_id]
        worker.settle(tag, "sent")
        assert account.whereabouts() == []

    def test_a_lost_answer_is_handed_back_by_the_next_call(self, account: Account, worker: Worker) -> None:
        ids = account.put("bulk", 3)
        call = worker.leases.call(2)
        arguments = worker._take.arguments(worker.leases, call, ("bulk",))
        account.client.execute_command(*worker._take.command(arguments, by_text=True))
        assert account.length("bulk") == 1
        worker.leases.abandon_all()
        worker.take(0)
        assert account.client.zcard(account.keys.leases) == 0
        assert list(worker.take(3).values()) == ids

    def test_a_settlement_whose_answer_was_lost_is_sent_again(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 1)
        (tag,) = worker.take(1)
        worker.leases.settle(tag, SENT)
        worker.leases.call(0)
        assert not worker.leases.unsettled
        worker.leases.abandon_all()
        worker.take(0)
        assert account.whereabouts() == []


class TestSchedule:
    """Mail for later."""

    def test_it_joins_its_lane_when_due_and_not_before(self, account: Account, worker: Worker) -> None:
        ids = account.put("bulk", 2, due_in=60)
        assert worker.take(2) == {}
        account.make_due()
        assert list(worker.take(2).values()) == ids

    def test_messages_due_at_the_same_moment_keep_their_order(self, account: Account, worker: Worker) -> None:
        due_us = account.now_us() + 60_000_000
        ids = [str(uuid.uuid4()) for _ in range(20)]
        for each in ids:
            account.queue.put("bulk", [Entry(each, envelope(each), due_us)])
        account.make_due()
        assert list(worker.take(20).values()) == ids

    def test_one_idle_worker_is_told_the_moment(self, account: Account) -> None:
        first, *others = (Worker(account) for _ in range(3))
        account.put("bulk", 1, due_in=0.95)
        for each in (first, *others):
            each.take(1)
        assert moment(first) * 1e6 == pytest.approx(
            account.client.zrange(account.keys.schedule, 0, 0, withscores=True)[0][1], abs=2
        )
        assert [each.answer.wait_seconds for each in others if each.answer] == [1.0, 1.0]


class TestContent:
    """What a bulk's messages share."""

    def test_it_stays_until_the_last_message_is_settled(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 2, content=("abc123", b"the body"))
        first, second = worker.take(2)
        worker.settle(first, "sent")
        assert account.queue.content("abc123") == b"the body"
        worker.settle(second, "sent")
        assert account.queue.content("abc123") is None

    def test_a_dead_letter_keeps_it(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 1, content=("abc123", b"the body"))
        (tag,) = worker.take(1)
        worker.settle(tag, "dead", "X", "Y")
        assert account.queue.content("abc123") == b"the body"

    def test_a_producer_brings_it_again_when_redis_let_go_of_it(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 1, content=("abc123", b"the body"))
        (tag,) = worker.take(1)
        worker.settle(tag, "sent")
        account.put("bulk", 1, content=("abc123", b"the body"))
        assert account.queue.content("abc123") == b"the body"

    def test_purging_a_lane_lets_go_of_it(self, account: Account) -> None:
        account.put("bulk", 3, content=("abc123", b"the body"))
        keys = account.keys
        where = [keys.doorbell, keys.content, keys.references, keys.records, keys.lane("bulk")]
        assert script("pull").run(account.client, where, ["lane", "drop", "bulk", 500]) == 3
        assert account.queue.content("abc123") is None


def test_messages_that_stock_celery_sent_with_a_priority_are_found(account: Account, worker: Worker) -> None:
    (message_id,) = account.put("bulk", 1)
    account.client.rename(account.keys.lane("bulk"), account.keys.lane("bulk") + "\x06\x166")
    assert list(worker.take(1).values()) == [message_id]


def test_what_stock_celery_sent_with_a_priority_moves_some_at_a_time(account: Account, worker: Worker) -> None:
    """A million of them would keep Redis from everybody for a second."""
    account.allow(rate=1_000_000, burst=100_000)
    first, second = (account.keys.lane("bulk") + f"\x06\x16{step}" for step in (3, 6))
    ids = [str(number) for number in range(5500)]
    account.client.lpush(first, *map(envelope, ids[:4000]))
    account.client.lpush(second, *map(envelope, ids[4000:]))
    worker.take(0)
    assert account.length("bulk") < 4000
    taken: list[str] = []
    for _ in range(10):
        taken += worker.take(1000).values()
    assert taken == ids


class TestLarge:
    """More than the 8,000 values that Lua hands to one command."""

    def test_messages_wanted_at_once(self, account: Account, worker: Worker) -> None:
        account.allow(rate=1_000_000, burst=100_000)
        for _ in range(5):
            account.put("bulk", 1000)
        taken = len(worker.take(5000))
        assert worker.answer is not None
        assert (taken > 0, worker.answer.wait_seconds) == (True, 0)
        while found := worker.take(5000):
            taken += len(found)
        assert (taken, account.length("bulk")) == (5000, 0)

    def test_settlements_that_each_say_much_of_the_account(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 1000)
        account.put("bulk", 1000)
        taken = worker.take(500)
        call = worker.leases.call(1500)
        account.client.execute_command(
            *worker._take.command(worker._take.arguments(worker.leases, call, ("bulk",)), by_text=True)
        )
        # Its answer is lost: with the next call all of them are handed back.
        worker.leases.abandon_all()
        for tag in taken:
            worker.settle_later(tag, "unfit", "w1@host", "no Region")
        worker.flush()
        assert (account.length("bulk"), account.client.zcard(account.keys.leases)) == (2000, 0)


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
