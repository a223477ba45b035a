"""A person's pause: at once for every worker, over restarts, and ended by its time or by a resume."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from mailer.errors import InvalidRequest
from mailer.queue import pause as pausing
from mailer.queue.pause import pause, resume
from mailer.settings import load
from mailer.testbed.valkey import Valkey, durable
from tests.support.account import LANES, Account, Worker


def test_the_next_take_of_every_worker_obeys_it(account: Account) -> None:
    workers = [Worker(account) for _ in range(3)]
    account.put("bulk", 9)
    assert all(worker.take(1) for worker in workers)
    pause(account.client, account.keys, reason="moving house", by="jo@host")
    assert [worker.take(1) for worker in workers] == [{}, {}, {}]
    assert workers[0].answer is not None
    assert workers[0].answer.stopped == "the account is paused: moving house"
    assert resume(account.client, account.keys, LANES)
    assert all(worker.take(1) for worker in workers)
    assert workers[0].answer.stopped == ""
    assert not resume(account.client, account.keys, LANES)


def test_a_paused_lane_does_not_hold_the_others(account: Account, worker: Worker) -> None:
    account.put("bulk", 1)
    urgent = account.put("transactional", 1)
    pause(account.client, account.keys, reason="wrong letter", lane="bulk")
    assert list(worker.take(5).values()) == urgent
    assert worker.answer is not None
    assert worker.answer.stopped == "lane bulk is paused: wrong letter"
    resume(account.client, account.keys, LANES)
    assert worker.take(5) == {}
    resume(account.client, account.keys, LANES, lane="bulk")
    assert len(worker.take(5)) == 1


@pytest.mark.parametrize("lane", [None, "bulk"])
def test_it_ends_by_itself(account: Account, worker: Worker, lane: str | None) -> None:
    account.put("bulk", 1)
    ends = pause(account.client, account.keys, reason="a moment", lane=lane, until=timedelta(seconds=0.5))
    assert ends is not None
    while not worker.take(1):
        assert worker.answer is not None
        assert worker.answer.redis_us < ends.timestamp() * 1e6
    assert worker.answer is not None
    assert worker.answer.redis_us >= ends.timestamp() * 1e6 - 1
    assert [account.field(name) for name in pausing.fields_of(lane).values()] == [None] * 4


def test_a_pause_replaces_the_one_before_it(account: Account, worker: Worker) -> None:
    account.put("bulk", 1)
    pause(account.client, account.keys, reason="a moment", until=timedelta(milliseconds=50))
    assert pause(account.client, account.keys, reason="for good") is None
    time.sleep(0.1)
    assert worker.take(1) == {}
    soon = datetime.now(UTC) + timedelta(hours=1)
    assert pause(account.client, account.keys, reason="an hour", until=soon) == soon


def test_what_stops_the_account_has_no_end(account: Account, worker: Worker) -> None:
    account.put("bulk", 2)
    (tag,) = worker.take(1)
    pause(account.client, account.keys, reason="a moment", until=timedelta(milliseconds=50))
    worker.settle(tag, "stop", "AccountSuspended", "Ask AWS.")
    time.sleep(0.1)
    assert worker.take(1) == {}


IN_NO_CALENDAR = datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))


@pytest.mark.parametrize(
    "until",
    [timedelta(0), timedelta.max, IN_NO_CALENDAR, datetime(2020, 1, 1, tzinfo=UTC), datetime(2090, 1, 1)],  # noqa: DTZ001
)
def test_an_end_that_is_none_is_refused(account: Account, until: datetime | timedelta) -> None:
    with pytest.raises(InvalidRequest, match="until"):
        pause(account.client, account.keys, reason="a moment", until=until)
    with pytest.raises(InvalidRequest, match="reason"):
        pause(account.client, account.keys, reason=" ")
    assert account.field("paused") is None


def test_it_survives_a_kill_of_the_server_and_of_the_workers(tmp_path: Path) -> None:
    with Valkey(tmp_path, *durable()) as server:
        account = Account(load(redis_url=server.url, rate_per_second=1000, quota_per_day=-1))
        account.allow(rate=1000, burst=100)
        account.put("bulk", 1)
        pause(account.client, account.keys, reason="moving house")
        server.stop()
        server.start()
        account = Account(account.settings)
        assert Worker(account).take(1) == {}
        resume(account.client, account.keys, LANES)
        assert len(Worker(account).take(1)) == 1
