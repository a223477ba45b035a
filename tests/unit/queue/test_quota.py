"""The rolling quota, ours and others' share. The Lua is the real one; its clock stands still but where moved."""

from __future__ import annotations

import pytest

from tests.support.account import Account, Worker
from tests.support.clock import Still

pytestmark = pytest.mark.usefixtures("still")


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

    def test_what_was_charged_a_day_ago_is_not_given_back_to_today(
        self, account: Account, worker: Worker, still: Still
    ) -> None:
        account.allow(rate=1000, quota=5, burst=100, quota_reserve=0)
        account.put("bulk", 10)
        (tag,) = worker.take(1)
        still.advance(1442 * 60)
        worker.settle(tag, "back")
        assert len(worker.take(10)) == 5

    def test_it_is_given_back_to_the_minute_in_which_it_was_charged(
        self, account: Account, worker: Worker, still: Still
    ) -> None:
        account.put("bulk", 1)
        (tag,) = worker.take(1)
        still.advance(120)
        worker.settle(tag, "back")
        assert {int(count) for count in account.client.hvals(account.keys.quota)} == {0}


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
        for minutes, count in ((1241, 0), (1, 2), (100, 3)):
            account.wait(minutes)
            # It is not forgotten meanwhile.
            account.client.hset(account.keys.account, "others_at", account.now_us())
            assert len(worker.take(10)) == count

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

    def test_it_is_forgotten_too_while_ses_stops_the_account_so_that_a_probe_can_go(
        self, account: Account, worker: Worker
    ) -> None:
        account.allow(rate=1000, quota=10, burst=100, quota_reserve=0, sent=10)
        account.client.hset(account.keys.account, "stopped", "AccountSuspendedException: Ask AWS.")
        account.put("bulk", 1)
        account.wait(61)
        assert len(worker.take(1)) == 1

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
