"""Who is woken: for each lane one idle worker that serves it, whatever the idle workers of other lanes do."""

from __future__ import annotations

import pytest

from mailer.queue.pause import pause, resume
from mailer.queue.queue import ring
from tests.support.account import LANES, Account, Worker


@pytest.fixture
def urgent(account: Account) -> Worker:
    """A worker that serves the urgent lane only."""
    return Worker(account, lanes=("transactional",))


@pytest.fixture
def bulk(account: Account) -> Worker:
    return Worker(account, lanes=("bulk",))


def rung(account: Account) -> list[str]:
    """The lanes whose doorbells have been rung; each once."""
    lengths = {lane: account.client.llen(account.keys.doorbell(lane)) for lane in LANES}
    assert set(lengths.values()) <= {0, 1}
    return [lane for lane, length in lengths.items() if length]


def test_an_idle_worker_of_another_lane_leaves_the_ring_to_those_whom_it_is_for(account: Account, bulk: Worker) -> None:
    account.put("transactional", 1)
    assert bulk.take(4) == {}
    assert bulk.answer is not None
    assert bulk.answer.listen
    assert rung(account) == ["transactional"]


def test_an_idle_worker_has_answered_the_rings_of_its_own_lanes(account: Account, bulk: Worker) -> None:
    account.put("bulk", 1)
    assert len(bulk.take(4)) == 1
    assert rung(account) == []


def test_who_leaves_work_behind_rings_where_it_lies(account: Account, worker: Worker) -> None:
    account.put("bulk", 1)
    account.put("transactional", 2)
    account.client.delete(*map(account.keys.doorbell, LANES))
    worker.take(2)
    assert rung(account) == ["bulk"]


def test_what_comes_due_in_a_lane_that_the_asking_worker_does_not_serve_wakes_one_that_does(
    account: Account, bulk: Worker, urgent: Worker
) -> None:
    account.put("transactional", 1, due_in=60)
    assert rung(account) == ["transactional"]
    urgent.take(1)
    account.make_due()
    assert bulk.take(4) == {}
    assert rung(account) == ["transactional"]
    assert len(urgent.take(1)) == 1


def test_what_comes_due_while_nobody_has_room_wakes_a_worker(account: Account, worker: Worker) -> None:
    account.put("bulk", 1, due_in=60)
    worker.take(1)
    account.make_due()
    worker.take(0)
    assert rung(account) == ["bulk"]


def test_what_is_handed_back_wakes_a_worker_of_its_lane(account: Account, worker: Worker) -> None:
    account.put("transactional", 1)
    (tag,) = worker.take(4)
    worker.settle(tag, "back")
    assert rung(account) == ["transactional"]


def test_what_a_dead_worker_held_wakes_a_worker_of_its_lane(account: Account, worker: Worker, bulk: Worker) -> None:
    account.put("transactional", 1)
    worker.take(4)
    account.end_leases()
    bulk.take(4)
    assert rung(account) == ["transactional"]


def test_a_settlement_alone_rings_nobody(account: Account, worker: Worker) -> None:
    account.put("bulk", 2)
    tags = list(worker.take(4))
    worker.settle(tags[0], "sent")
    worker.settle(tags[1], "dead", "Code", "Words.")
    assert rung(account) == []


def test_a_resume_wakes_a_worker_of_each_lane_that_goes_on(account: Account) -> None:
    pause(account.client, account.keys, reason="for the test", lane="bulk")
    resume(account.client, account.keys, LANES, lane="bulk")
    assert rung(account) == ["bulk"]
    resume(account.client, account.keys, LANES)
    assert rung(account) == [*LANES]


def test_however_often_it_is_rung_it_wakes_one(account: Account) -> None:
    for _ in range(3):
        ring(account.client, [account.keys.doorbell("bulk")])
    assert rung(account) == ["bulk"]
