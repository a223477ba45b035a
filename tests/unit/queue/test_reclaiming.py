"""Leases that end: who is given the time to come back, and in what order messages return."""

from __future__ import annotations

from tests.support.account import Account, Worker


def test_expired_leases_go_back_in_the_order_they_were_taken(account: Account, worker: Worker) -> None:
    ids = account.put("transactional", 5)
    slow = Worker(account)
    for _ in ids:
        slow.take(1)
    account.end_leases()
    returned = []
    # One at a time: any of them may be what ended the worker.
    while taken := worker.take(5):
        ((tag, message_id),) = taken.items()
        returned.append(message_id)
        worker.settle(tag, "sent")
    assert returned == ids


def test_after_a_silence_of_all_workers_what_they_sent_meanwhile_can_still_be_settled(account: Account) -> None:
    account.put("bulk", 2)
    worker, other = Worker(account, lease_seconds=240), Worker(account, lease_seconds=240)
    (sent,), (_,) = worker.take(1), other.take(1)
    # Redis away: nobody calls, and the leases end.
    account.wait(5)
    assert other.take(1) == {}
    assert account.client.zcard(account.keys.leases) == 2
    worker.settle(sent, "sent")
    assert len(account.whereabouts()) == 1
    for _ in range(2):
        account.wait(1)
        other.take(1)
    assert [each["code"] for each in account.aside("held").values()] == ["LeaseExpired"]


def test_each_silence_gives_workers_the_time_to_settle_however_soon_it_follows_another(account: Account) -> None:
    sender, other = Worker(account, lease_seconds=240), Worker(account, lease_seconds=240)
    sender.take(0)
    account.wait(5)
    account.put("bulk", 1)
    (sent,) = sender.take(1)
    account.wait(5)
    other.take(0)
    sender.settle(sent, "sent")
    assert account.whereabouts() == []
    assert account.aside("held") == {}


def test_lost_workers_leases_end_once_redis_has_been_there_for_half_a_lease(account: Account) -> None:
    account.put("bulk", 1)
    Worker(account, lease_seconds=240).take(1)
    worker = Worker(account, lease_seconds=240)
    for minutes in (5, 5, 1):
        account.wait(minutes)
        worker.take(0)
        assert account.aside("held") == {}
    account.wait(1)
    worker.take(0)
    assert len(account.aside("held")) == 1
