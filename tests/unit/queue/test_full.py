"""A Redis that is full and evicts nothing: it refuses producers, and can be emptied."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mailer.errors import QueueUnavailable
from mailer.settings import load
from mailer.testbed.valkey import Valkey
from tests.support.account import Account, Worker


@pytest.fixture
def full(server: Valkey) -> Iterator[Account]:
    """An account with two messages ready, one due and one leased for too long, and no room for more."""
    account = Account(load(redis_url=server.url, rate_per_second=1000, quota_per_day=-1))
    account.allow(rate=1000, burst=100)
    account.put("transactional", 1)
    Worker(account).take(1)
    account.end_leases()
    account.put("bulk", 2)
    account.put("bulk", 1, due_in=60)
    account.make_due()
    account.client.config_set("maxmemory", "1")
    yield account
    account.client.close()


def test_producers_are_told_that_nothing_was_enqueued(full: Account) -> None:
    for due_in in (0, 60):
        with pytest.raises(QueueUnavailable, match="Nothing was enqueued"):
            full.put("bulk", 1, due_in=due_in)
    assert full.length("bulk") == 2


def test_workers_empty_it(full: Account) -> None:
    worker = Worker(full)
    taken = worker.take(8)
    assert len(taken) == 4
    verbs = iter(("sent", "dead", "retry", "sent"))
    for tag in taken:
        worker.settle(tag, next(verbs), 0, '{"body": "", "headers": {"id": "again"}}')
    for tag in worker.take(8):
        worker.settle(tag, "sent")
    assert len(full.whereabouts()) == 1
    assert full.client.zcard(full.keys.leases) == 0


def test_the_limits_can_be_refreshed(full: Account) -> None:
    full.allow(rate=7)
    assert full.field("rate") == "7"
