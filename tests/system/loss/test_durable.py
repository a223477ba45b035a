"""``durable=True``: it returns once Redis has the message on its disk, and survives the end of its server there."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mailer.errors import InvalidMessage, NotOnDisk, QueueUnavailable
from mailer.producer.producer import Producer
from mailer.queue import queue as queue_module
from mailer.settings import load
from mailer.testbed.valkey import Valkey, durable

LETTER: dict[str, Any] = {"sender": "Shop <shop@example.com>", "subject": "Hello", "text": "Hello."}

Start = Callable[..., tuple[Valkey, Producer]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A server with these options, and a producer for it."""
    with ExitStack() as stack:

        def start(*options: str) -> tuple[Valkey, Producer]:
            server = stack.enter_context(Valkey(tmp_path, *options))
            return server, stack.enter_context(Producer.of(load(redis_url=server.url)))

        yield start


def waiting(producer: Producer, lane: str = "transactional") -> int:
    queue = producer.queue
    return int(queue.client.llen(queue.keys.lane(lane)))


@pytest.mark.parametrize("policy", ["everysec", "always"])
def test_what_is_durable_outlives_a_kill_at_once(start: Start, policy: str) -> None:
    server, producer = start(*durable(policy))
    producer.send(to="jane@example.com", **LETTER, durable=True)
    result = producer.send_many((f"{i}@example.com" for i in range(600)), **LETTER, durable=True)
    assert result.accepted == 600
    server.stop()
    server.start()
    assert (waiting(producer), waiting(producer, "bulk")) == (1, 600)


def test_it_is_on_the_disk_and_not_only_in_the_file(start: Start, tmp_path: Path) -> None:
    """A kill of the process leaves the machine's buffers, so ask the server what it has made its disk write."""
    _, producer = start(*durable("everysec"))
    producer.send(to="jane@example.com", **LETTER, durable=True)
    assert producer.queue.client.info("persistence")["aof_pending_bio_fsync"] == 0
    assert any(b"jane@example.com" in path.read_bytes() for path in tmp_path.rglob("*.aof"))


def test_without_an_append_only_file_nothing_is_enqueued(start: Start) -> None:
    _, producer = start("--appendonly", "no")
    for send in (
        lambda: producer.send(to="jane@example.com", **LETTER, durable=True),
        lambda: producer.send_many(["jane@example.com"], **LETTER, durable=True),
    ):
        with pytest.raises(QueueUnavailable, match="appendonly yes") as caught:
            send()
        assert caught.value.enqueued is False
    assert waiting(producer) == waiting(producer, "bulk") == 0


def test_a_disk_that_is_never_told_to_write_is_an_error_with_the_ids(start: Start) -> None:
    _, producer = start(*durable("no"))
    with pytest.raises(NotOnDisk, match="accepted and will be sent") as caught:
        producer.send(to=["jane@example.com", "joe@example.com"], **LETTER, durable=True)
    assert waiting(producer) == 2
    assert len(caught.value.ids) == 2
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
    assert (str(again), again.ids) == (str(caught.value), caught.value.ids)


def test_a_duplicate_is_durable_too(start: Start) -> None:
    server, producer = start(*durable("everysec"))
    first = producer.send(to="jane@example.com", **LETTER, idempotency_key="k")
    again = producer.send(to="jane@example.com", **LETTER, idempotency_key="k", durable=True)
    assert again == first
    server.stop()
    server.start()
    assert waiting(producer) == 1


def test_a_redis_that_goes_away_meanwhile_is_an_error_with_the_ids(start: Start) -> None:
    server, producer = start(*durable("no"))
    queue = producer.queue
    with queue.session() as session:
        server.stop()
        with pytest.raises(NotOnDisk, match="did not say") as caught:
            queue.until_durable(session, ["a"])
    assert caught.value.ids == ["a"]


def test_it_takes_a_flag(start: Start) -> None:
    _, producer = start()
    with pytest.raises(InvalidMessage, match="durable"):
        producer.send(to="jane@example.com", **LETTER, durable="yes")  # type: ignore[call-overload]


def test_it_waits_for_longer_than_everysec_takes() -> None:
    assert queue_module.DISK_SECONDS > 2
