"""What happens when SES stops the account. The Lua is the real one; its clock stands still but where moved."""

from __future__ import annotations

import pytest

from mailer.queue.settlement import Settlement
from tests.support.account import Account, Worker

pytestmark = pytest.mark.usefixtures("still")


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
        (tag,) = probe
        worker.settle(tag, "sent")
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
        ("verb", "minutes"), [("throttled", 1), ("retry", 1), ("hold", 1), ("dead", 1), ("back", 0), ("unfit", 0)]
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

    def test_when_getaccount_allows_again_the_next_probe_waits_for_no_earlier_refusal(
        self, account: Account, worker: Worker, stopped: list[str]
    ) -> None:
        for minutes in (1, 2, 4, 8):
            account.wait(minutes)
            (probe,) = worker.take(8)
            worker.settle(probe, "stop", "AccountSuspendedException", "Ask AWS.")
        account.allow(rate=1000, burst=100, sent=0, allows=False)
        account.wait(1)
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
