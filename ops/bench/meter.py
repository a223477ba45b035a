"""Measurements: Redis's counters, a queue's envelopes, medians."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import Any

import redis

IN_BATCHES_OF = 1000


@dataclass(frozen=True, slots=True)
class Counters:
    """Redis's counters at one moment. ``-`` gives the difference between two."""

    reads: int
    """The reads from clients' sockets. A read is one message of a client, and so one round trip. ``commandstats``,
    ``total_commands_processed`` and CLIENT LIST's ``tot-cmds`` also count the commands that scripts call."""
    calls: dict[str, int]

    def __sub__(self, earlier: Counters) -> Counters:
        calls = {name: count - earlier.calls.get(name, 0) for name, count in self.calls.items()}
        return Counters(self.reads - earlier.reads, {name: count for name, count in calls.items() if count})


def counters(client: redis.Redis) -> Counters:
    """Read the counters. The difference of two results includes our own reads, `OWN_READS`."""
    calls = {name.removeprefix("cmdstat_"): int(stat["calls"]) for name, stat in client.info("commandstats").items()}
    return Counters(int(client.info("stats")["total_reads_processed"]), calls)


OWN_READS = 2


def queued_or_unacked(client: redis.Redis, queue: str) -> Callable[[], int]:
    """A function that counts the messages which stock Celery has in a queue or has not acknowledged."""

    def left() -> int:
        pipeline = client.pipeline(transaction=True)
        pipeline.llen(queue)
        pipeline.hlen("unacked")
        return sum(pipeline.execute())

    return left


def clones(envelope: bytes, count: int) -> Iterator[bytes]:
    """``count`` copies of a message that Celery wrote, each with new ids."""
    message: dict[str, Any] = json.loads(envelope)
    for _ in range(count):
        task_id = str(uuid.uuid4())
        message["headers"]["id"] = message["headers"]["root_id"] = task_id
        message["properties"]["correlation_id"] = task_id
        message["properties"]["delivery_tag"] = str(uuid.uuid4())
        yield json.dumps(message).encode()


def push(client: redis.Redis, key: str, envelopes: Iterator[bytes]) -> None:
    while batch := list(islice(envelopes, IN_BATCHES_OF)):
        client.lpush(key, *batch)


def middle(values: Sequence[float]) -> float:
    return median(values)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of each round's ratio."""
    return median([one / other for one, other in zip(ours, theirs, strict=True)])
