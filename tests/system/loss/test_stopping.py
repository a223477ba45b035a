"""Stops, kills and cut connections: nothing lost, nothing sent twice."""

from __future__ import annotations

import signal
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailer.testbed.valkey import Valkey
from mailer.testbed.waiting import until
from tests.support.post import Post

MANY = 400
"""So many that a worker which sends eight at a time is not done before a test that stands still stops it."""


def enqueue(post: Post, count: int, lane: str = "bulk") -> set[str]:
    to = [f"u{i}@example.com" for i in range(count)]
    for first in range(0, count, 200):
        post.producer.send(to=to[first : first + 200], sender="a@example.com", subject="Hi", text="Hi", lane=lane)
    return set(to)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGINT])
def test_a_stop_finishes_what_is_being_sent_and_returns_the_rest(post: Post, number: int) -> None:
    post.simulator.set_latency("300ms")
    worker = post.worker()
    sent_to = enqueue(post, MANY)
    until(post.arrivals, "the first mail arrives")
    worker.stop(number)
    assert post.client.zcard(post.keys.leases) == 0
    arrived = post.arrivals()
    assert len(arrived) == len(set(arrived))
    assert len(arrived) + post.client.llen(post.keys.lane("bulk")) == MANY

    post.simulator.set_latency("1ms")
    post.worker()
    until(lambda: len(post.arrivals()) >= MANY, "the next worker sends the rest")
    until(post.idle, "all of it is settled")
    assert Counter(post.arrivals()) == dict.fromkeys(sent_to, 1)


def test_what_a_killed_worker_held_is_sent_again_where_the_lane_resends(post: Post) -> None:
    post.simulator.set_latency("200ms")
    worker = post.worker()
    sent_to = enqueue(post, MANY, lane="transactional")
    until(post.arrivals, "the first mail arrives")
    worker.stop(signal.SIGKILL)
    in_flight = int(post.client.zcard(post.keys.leases))
    assert in_flight > 0
    post.lose_all()
    post.simulator.set_latency("5ms")
    post.worker()
    until(lambda: set(post.arrivals()) == sent_to and post.idle(), "all mail arrives")
    twice = [to for to, count in Counter(post.arrivals()).items() if count > 1]
    assert len(twice) <= in_flight


def test_what_a_killed_worker_held_is_held_where_the_lane_holds(post: Post) -> None:
    post.simulator.set_latency("200ms")
    worker = post.worker()
    enqueue(post, MANY, lane="bulk")
    until(post.arrivals, "the first mail arrives")
    worker.stop(signal.SIGKILL)
    post.lose_all()
    post.simulator.set_latency("5ms")
    post.worker()
    until(post.idle, "everything is settled")
    arrived = post.arrivals()
    assert len(arrived) == len(set(arrived))
    assert len(post.aside("held")) > 0
    assert len(set(arrived)) + len(post.aside("held")) >= MANY


def test_cut_connections_neither_lose_nor_double(post: Post) -> None:
    post.simulator.set_latency("uniform:5ms-60ms")
    post.worker()
    sent_to = enqueue(post, 600)
    for _ in range(8):
        time.sleep(0.25)
        post.client.client_kill_filter(_type="normal", skipme=True)
    until(lambda: len(post.arrivals()) >= 600 and post.idle(), "all mail arrives")
    assert Counter(post.arrivals()) == dict.fromkeys(sent_to, 1)
    assert post.aside("held") == {}


def test_a_stop_returns_what_the_last_call_brings_while_sends_still_end(post: Post, valkey: Valkey) -> None:
    post.settings = post.settings.model_copy(update={"read_timeout_seconds": 30.0, "lease_seconds": 60.0})
    post.simulator.set_latency("6s")
    worker = post.worker()
    post.send("slow@example.com")
    until(lambda: post.client.zcard(post.keys.leases) == 1, "a send is in flight")
    due = datetime.now(UTC) + timedelta(seconds=3)
    post.send("later@example.com", send_at=due)
    valkey.send_signal(signal.SIGSTOP)
    try:
        # The worker asks each second, and waits for this answer when it is told to stop.
        time.sleep(2.2)
        until(lambda: datetime.now(UTC) > due, "the message is due")
        worker.process.send_signal(signal.SIGTERM)
        until(lambda: "Warm shutdown" in worker.text, "it is told to stop")
    finally:
        valkey.send_signal(signal.SIGCONT)
    worker.process.wait(60)
    assert post.arrivals() == ["slow@example.com"]
    assert post.client.zcard(post.keys.leases) == 0
    assert post.client.llen(post.keys.lane("transactional")) == 1


def test_a_stop_beside_that_of_the_embedded_server_is_no_error(post: Post, valkey: Valkey, tmp_path: Path) -> None:
    address = tmp_path / "valkey.url"
    address.write_text(valkey.url)
    post.settings = post.settings.model_copy(update={"redis_url": None, "data_dir": tmp_path})
    worker = post.worker()
    post.simulator.set_latency("500ms")
    post.send("slow@example.com")
    until(lambda: post.client.zcard(post.keys.leases) == 1, "a send is in flight")
    address.unlink()
    assert worker.stop() == 0
    assert "Traceback" not in worker.text
    assert post.client.zcard(post.keys.leases) == 0
