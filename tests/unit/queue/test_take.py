"""What one call of take decides. The Lua is the real one, on a real server; its clock stands still but where moved."""

from __future__ import annotations

import uuid

import pytest

from mailer.queue.move import purge
from mailer.queue.queue import Entry
from tests.support.account import Account, Worker, envelope

pytestmark = pytest.mark.usefixtures("still")


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


def test_an_idle_worker_listens_and_looks_again_within_a_second(account: Account, worker: Worker) -> None:
    worker.take(4)
    assert worker.answer is not None
    assert worker.answer.listen
    assert worker.answer.wait_seconds == pytest.approx(1.0)


def test_one_new_message_rings_once(account: Account, worker: Worker) -> None:
    worker.take(1)
    account.put("bulk", 1)
    account.put("bulk", 1)
    assert account.client.llen(account.keys.doorbell("bulk")) == 1


def test_who_leaves_work_behind_rings_for_another(account: Account, worker: Worker) -> None:
    account.put("bulk", 3)
    account.client.delete(account.keys.doorbell("bulk"))
    worker.take(1)
    assert account.client.llen(account.keys.doorbell("bulk")) == 1


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
        assert first.asks_again_at * 1e6 == pytest.approx(
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
        assert purge(account.client, account.keys, "bulk") == 3
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
        worker.carry_out(call)
        # Its answer is lost: with the next call all of them are handed back.
        worker.leases.abandon_all()
        for tag in taken:
            worker.settle_later(tag, "unfit", "w1@host", "no Region")
        worker.flush()
        assert (account.length("bulk"), account.client.zcard(account.keys.leases)) == (2000, 0)
