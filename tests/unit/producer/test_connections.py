"""More calls at once than a process has connections to Redis."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from mailer.errors import QueueUnavailable
from mailer.producer.producer import Producer
from mailer.queue.connection import MAX_CONNECTIONS, connect
from mailer.queue.keys import Keys
from mailer.queue.queue import Queue
from mailer.settings import Settings, load
from ops.soak.proxy import Proxy
from tests.support import REPOSITORY

LETTER: dict[str, Any] = {"to": "jane@example.com", "sender": "shop@example.com", "subject": "Hello", "text": "Hi"}


@pytest.fixture
def patience() -> float:
    """Seconds that the producer waits for Redis: beyond what a busy machine stands still."""
    return 25


@pytest.fixture
def producer(settings: Settings, patience: float) -> Iterator[Producer]:
    its = load(redis_url=settings.redis_url, account=settings.account, redis_timeout_seconds=patience)
    with Producer(Queue(connect(its), Keys.of(its))) as producer:
        yield producer


@pytest.fixture
def full(producer: Producer) -> Iterator[list[Any]]:
    """All of the process's connections, in use."""
    pool = producer.queue.client.connection_pool
    taken = [pool.get_connection() for _ in range(MAX_CONNECTIONS)]
    yield taken
    for connection in taken:
        pool.release(connection)


def crowd(settings: Settings, kind: str, count: int, sends: int) -> dict[str, Any]:
    """What a process says in which so many send so often, with Redis 40 ms away."""
    assert settings.redis_url is not None
    with Proxy(int(settings.redis_url.get_secret_value().rpartition(":")[2].partition("/")[0]), 0.04) as proxy:
        surroundings = {name: value for name, value in os.environ.items() if not name.startswith("MAILER_")}
        done = subprocess.run(
            [sys.executable, "-m", "tests.unit.producer.crowd", kind, str(count), str(sends)],
            env=surroundings
            | {
                "MAILER_REDIS_URL": f"redis://127.0.0.1:{proxy.port}/0",
                "MAILER_ACCOUNT": settings.account,
                "MAILER_REDIS_TIMEOUT_SECONDS": "25",
            },
            cwd=REPOSITORY,
            capture_output=True,
            timeout=240,
            check=False,
        )
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("kind", ["threads", "greenlets"])
def test_five_hundred_send_at_once_and_none_is_refused(client: redis.Redis, settings: Settings, kind: str) -> None:
    if kind == "greenlets":
        pytest.importorskip("gevent")
    assert crowd(settings, kind, 500, 1) == {"ids": 500, "errors": [], "failed": 0}
    assert client.llen(Keys.of(settings).lane("transactional")) == 500


@pytest.mark.parametrize("patience", [3])
def test_who_gets_no_connection_in_time_is_told_so(producer: Producer, full: list[Any]) -> None:
    def error_of(call: Callable[[], object]) -> QueueUnavailable:
        with pytest.raises(QueueUnavailable) as caught:
            call()
        return caught.value

    with ThreadPoolExecutor() as threads:
        for error in threads.map(error_of, [lambda: producer.send(**LETTER), producer.queue.now]):
            assert "all 100 connections of this process are in use" in str(error)
            assert "did not answer" not in str(error)
            assert error.enqueued is False


def test_a_connection_that_comes_free_goes_to_who_waits(
    producer: Producer, full: list[Any], client: redis.Redis
) -> None:
    sent: list[Any] = []
    threads = [threading.Thread(target=lambda: sent.append(producer.send(**LETTER))) for _ in range(20)]
    for thread in threads:
        thread.start()
    producer.queue.client.connection_pool.release(full.pop())
    for thread in threads:
        thread.join()
    assert len(set(sent)) == 20
    assert client.llen(producer.queue.keys.lane("transactional")) == 20


def test_a_wait_that_a_signal_breaks_off_takes_no_connection_away(producer: Producer, full: list[Any]) -> None:
    def ring(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            producer.send(**LETTER)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    producer.queue.client.connection_pool.release(full.pop())
    for _ in range(3):
        producer.send(**LETTER)


def test_redis_away_for_long_leaves_every_connection_to_be_used_again() -> None:
    away = load(redis_url="redis://127.0.0.1:1/0")
    with Producer(Queue(connect(away), Keys.of(away))) as producer:
        for _ in range(2 * MAX_CONNECTIONS):
            with pytest.raises(QueueUnavailable, match="did not answer"):
                producer.send(**LETTER)


def test_a_child_process_has_connections_of_its_own(producer: Producer, full: list[Any], client: redis.Redis) -> None:
    child = os.fork()
    if child == 0:
        try:
            # The parent's come back here too, as when a block that has one goes on in the child.
            producer.queue.client.connection_pool.release(full.pop())
            producer.send(**LETTER)
        except BaseException:  # noqa: BLE001 - pytest goes on in the parent alone
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert client.llen(producer.queue.keys.lane("transactional")) == 1
