"""Celery's events while Redis does not answer: they keep a worker from nothing."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from mailer.settings import load
from mailer.simulator.client import Simulator
from mailer.testbed.valkey import Valkey
from mailer.testbed.waiting import until
from tests.support.post import PATIENT, Post

_HEARTBEAT_SECONDS = 2.0
_TIMEOUT_SECONDS = 1.0


@pytest.fixture
def hasty(server: Valkey, simulator: Simulator, tmp_path: Path) -> Iterator[Post]:
    simulator.reset()
    given = {**PATIENT, "rate_per_second": 1000, "quota_per_day": -1, "redis_timeout_seconds": _TIMEOUT_SECONDS}
    opened = Post(load(redis_url=server.url, data_dir=tmp_path, **given), simulator, tmp_path)
    yield opened
    opened.close()


def freeze(server: Valkey) -> None:
    """Have it take connections and answer nothing, until its heartbeats have met that."""
    server.send_signal(signal.SIGSTOP)
    time.sleep(_HEARTBEAT_SECONDS + 2 * _TIMEOUT_SECONDS)


def test_a_worker_told_to_stop_ends_though_redis_does_not_answer(hasty: Post, server: Valkey) -> None:
    worker = hasty.worker()
    # So that a heartbeat meets it before the worker's question for mail is out of time.
    time.sleep(_HEARTBEAT_SECONDS / 2)
    freeze(server)
    worker.stop(signal.SIGTERM)


def test_heartbeats_go_on_after_redis_did_not_answer_for_a_while(hasty: Post, server: Valkey) -> None:
    hasty.worker()
    freeze(server)
    server.send_signal(signal.SIGCONT)
    with redis.Redis.from_url(server.url) as client, client.pubsub() as events:
        events.psubscribe("*worker.heartbeat*")

        def heard() -> bool:
            message = events.get_message(timeout=1)
            return message is not None and message["type"] == "pmessage"

        until(heard, "a heartbeat")
    hasty.send("jane@example.com")
    until(lambda: hasty.arrivals("jane@example.com"), "mail goes out")
