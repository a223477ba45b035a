"""Failovers by real sentinels, seen from a producer: a master that is killed, and one that is replaced as planned."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from mailer.errors import NotOnDisk, QueueUnavailable
from mailer.producer.producer import Producer
from mailer.queue.connection import connect
from mailer.queue.keys import Keys
from mailer.queue.queue import Queue
from mailer.settings import load
from ops.soak.watched import NAME, Watched, order

pytestmark = pytest.mark.timeout(400)

LETTER: dict[str, Any] = {"sender": "Shop <shop@example.com>", "subject": "Hello", "text": "Hello."}

Start = Callable[..., Producer]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with Watched(tmp_path_factory.mktemp("watched"), options=(), down_after_ms=1000) as running:
        yield running


@pytest.fixture
def start(watched: Watched, request: pytest.FixtureRequest) -> Iterator[Start]:
    """A producer, with these settings, of an account of the test's own. Afterwards all servers are there again."""
    producers: list[Producer] = []

    def start(**settings: Any) -> Producer:
        chosen = load(
            redis_url=watched.url, redis_sentinel_master=NAME, account=f"t{hash(request.node.name) % 10**9}", **settings
        )
        queue = Queue(connect(chosen), Keys.of(chosen), chosen.redis_replicas)
        producers.append(Producer(queue))
        return producers[-1]

    yield start
    for producer in producers:
        producer.close()
    for server in watched.servers:
        if not server.running:
            server.start()
        server.send_signal(signal.SIGCONT)
        order(server, "CONFIG", "SET", "min-replicas-to-write", "0")
    watched.until_whole(hasten=True)


def waiting(producer: Producer, lane: str = "transactional") -> int:
    queue = producer.queue
    return int(queue.client.llen(queue.keys.lane(lane)))


def until_named(producer: Producer) -> None:
    """Until the sentinels name a master to this producer: a replica takes itself for one before they are done."""
    deadline = time.monotonic() + 60
    while True:
        try:
            waiting(producer)
        except redis.exceptions.RedisError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def until_refused(producer: Producer) -> QueueUnavailable:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            producer.send(to="jane@example.com", **LETTER)
        except QueueUnavailable as error:
            return error
    pytest.fail("it was never refused")


def test_a_master_with_too_few_replicas_refuses_and_nothing_was_enqueued(watched: Watched, start: Start) -> None:
    producer = start()
    producer.send(to="jane@example.com", **LETTER)
    with watched.master.client() as client:
        client.config_set("min-replicas-to-write", 3)
        error = until_refused(producer)
        assert "NOREPLICAS" in str(error)
        assert error.enqueued is False
        client.config_set("min-replicas-to-write", 0)
    producer.send(to="jane@example.com", **LETTER)
    assert waiting(producer) == 2


def test_a_message_that_no_replica_confirms_may_be_lost_and_is_said_to_be(watched: Watched, start: Start) -> None:
    producer = start(redis_replicas=1)
    producer.send(to="jane@example.com", **LETTER)
    replicas = [server for server in watched.servers if server is not watched.master]
    for replica in replicas:
        replica.send_signal(signal.SIGSTOP)
    error = until_refused(producer)
    assert error.enqueued is None
    assert "0 of 2 replicas confirmed" in str(error)
    assert "idempotency_key" in str(error)
    replicas[0].send_signal(signal.SIGCONT)
    # One of two is what the settings ask for, once the sentinels say that nothing is being replaced.
    producer.send(to="jane@example.com", **LETTER)


def test_durable_says_which_part_is_missing(watched: Watched, start: Start) -> None:
    producer = start()
    replica = next(server for server in watched.servers if server is not watched.master)
    queue = producer.queue
    with queue.session() as session:
        replica.send_signal(signal.SIGSTOP)
        with pytest.raises(NotOnDisk, match="known to 1 of 2 replicas only") as caught:
            queue.until_durable(session, ["a"], seconds=0.2)
    assert caught.value.ids == ["a"]
    assert "disk (" not in str(caught.value)


def test_durable_mail_survives_the_end_of_the_master_that_accepted_it(watched: Watched, start: Start) -> None:
    producer = start()
    producer.send_many((f"{i}@example.com" for i in range(100)), **LETTER, durable=True)
    for i in range(5):
        producer.send(to=f"{i}@example.com", **LETTER, durable=True)
    master = watched.master
    master.kill()
    watched.until_promoted(master)
    until_named(producer)
    assert (waiting(producer), waiting(producer, "bulk")) == (5, 100)


@pytest.mark.parametrize("replicas", [0, 1])
def test_a_producer_leaves_a_master_that_was_replaced_as_planned(watched: Watched, start: Start, replicas: int) -> None:
    producer = start(redis_replicas=replicas)
    producer.send(to="jane@example.com", **LETTER)
    accepted, old = 1, watched.master
    watched.fail_over()
    new = watched.until_promoted(old)
    with redis.Redis.from_url(new.url) as client:
        before = client.llen(producer.queue.keys.lane("transactional"))
        while client.llen(producer.queue.keys.lane("transactional")) <= before:
            try:
                producer.send(to="jane@example.com", **LETTER)
            except QueueUnavailable:
                continue
            accepted += 1
        with redis.Redis.from_url(old.url) as former:
            assert former.info("replication")["role"] == "master", "the old one would have taken it too"
        # Of those it waited for, nothing is lost; without, what the old one took meanwhile is.
        if replicas:
            assert client.llen(producer.queue.keys.lane("transactional")) >= accepted
