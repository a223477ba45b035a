"""A task that does nothing, on our transport (``celery -A ops.bench.noop:gated worker``) or kombu's (``... :stock``).

mailer's settings configure both. ``BENCH_ACKS`` (``late`` or ``early``) and ``BENCH_PREFETCH`` (the multiplier)
configure the second too.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from mailer.delivery.outcome import Kind, Outcome
from mailer.queue.connection import redis_url
from mailer.queue.headers import TASK
from mailer.settings import current
from mailer.worker.app import create_app
from mailer.worker.door import Door
from mailer.worker.report import Report

QUEUE = "bulk"


def _noop(*args: Any, **kwargs: Any) -> None:
    """Does nothing."""


class _NoDoor(Door):
    """Reports at once that the message was sent."""

    def run(self, *args: Any, **kwargs: Any) -> Report:  # noqa: ARG002
        return Report(Outcome(Kind.SENT))


# mailer's own worker, without the sends.
gated = create_app(current())
gated.register_task(_NoDoor(current()))

stock = Celery("bench-stock", set_as_current=False)
stock.conf.update(
    broker_url=redis_url(current()),
    broker_connection_retry_on_startup=True,
    task_queues=[Queue(QUEUE, Exchange(QUEUE), routing_key=QUEUE)],
    task_default_queue=QUEUE,
    task_acks_late=os.environ.get("BENCH_ACKS", "late") == "late",
    task_ignore_result=True,
    worker_prefetch_multiplier=int(os.environ.get("BENCH_PREFETCH", "1")),
    worker_disable_rate_limits=True,
)
stock.task(name=TASK)(_noop)
