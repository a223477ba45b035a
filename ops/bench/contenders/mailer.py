"""This project: one worker process, on its event loop or with Celery's threads."""

from __future__ import annotations

import redis

from mailer.testbed.ses import UNLIMITED
from ops.bench import mail
from ops.bench.bench import STAGED, Bench
from ops.bench.contenders.contender import Sample, timed
from ops.bench.sinks import Sink


class Mailer:
    """Templates are rendered in the worker, as `mailer.send_many` has it."""

    def __init__(self, pool: str = "custom", at_once: int = 32) -> None:
        self.name = f"mailer, {'event loop' if pool == 'custom' else 'threads pool'}, {at_once} at once"
        self.amount = 10_000 if pool == "custom" else 5_000
        self._pool = pool
        self._at_once = at_once

    def run(self, bench: Bench, sink: Sink, amount: int, environment: dict[str, str]) -> Sample:
        with (
            bench.valkey.client() as client,
            bench.workers(
                bench.environment(rate=UNLIMITED, sink=sink.url, **environment),
                count=1,
                concurrency=self._at_once,
                pool=self._pool,
            ) as workers,
        ):
            warm_up(bench, client, self._at_once)
            stage(bench, amount)
            left = bench.left(client, "transactional", "bulk")
            return timed(bench, sink, workers, amount, lambda: bench.release(client), left, self.name)


def stage(bench: Bench, amount: int) -> None:
    with bench.producer() as producer:
        mail.enqueue(producer, mail.recipients(amount), lane=STAGED)


def warm_up(bench: Bench, client: redis.Redis, at_once: int) -> None:
    """Connections and imports are paid once in a worker's life."""
    with bench.producer() as producer:
        for row in mail.rendered(2 * at_once):
            producer.send(**row)  # type: ignore[call-overload]
    bench.drain(1, bench.left(client, "transactional"), "warming up")
