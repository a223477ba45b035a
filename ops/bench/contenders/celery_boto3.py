"""The first idea of most: Celery and boto3 (`celery_tasks`), with threads or with forked processes."""

from __future__ import annotations

import redis
from celery import Celery

from mailer.testbed.ses import UNLIMITED
from ops.bench import mail
from ops.bench.bench import STAGED, Bench
from ops.bench.contenders.contender import Sample, timed
from ops.bench.meter import queued_or_unacked
from ops.bench.sinks import Sink

QUEUE = "bulk"
"""As `celery_tasks` has it, which only a worker can import: it reads its settings at once."""


class CeleryBoto3:
    """One worker. It is handed the finished mail."""

    amount = 1_500

    def __init__(self, pool: str, at_once: int) -> None:
        self.name = f"Celery + boto3, {pool}, {at_once} at once"
        self._pool = pool
        self._at_once = at_once

    def run(self, bench: Bench, sink: Sink, amount: int, environment: dict[str, str]) -> Sample:
        settings = bench.environment(rate=UNLIMITED, sink=sink.url, BENCH_THREADS=str(self._at_once), **environment)
        with (
            bench.valkey.client() as client,
            bench.workers(
                settings,
                count=1,
                concurrency=self._at_once,
                pool=self._pool,
                app="ops.bench.contenders.celery_tasks",
                queues=QUEUE,
            ) as workers,
        ):
            left = queued_or_unacked(client, QUEUE)
            _stage(bench, 2 * self._at_once)
            client.rename(STAGED, QUEUE)
            bench.drain(1, left, "warming up")
            _stage(bench, amount)
            return timed(bench, sink, workers, amount, lambda: _release(client), left, self.name)


def _release(client: redis.Redis) -> None:
    client.rename(STAGED, QUEUE)


def _stage(bench: Bench, amount: int) -> None:
    app = Celery("naive-producer", broker=bench.valkey.url, set_as_current=False)
    with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
        for row in mail.rendered(amount):
            app.send_task("naive.send", kwargs=row, queue=STAGED, producer=producer)
    app.close()
