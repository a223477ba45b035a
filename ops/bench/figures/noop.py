"""Tasks without work: what receiving, running and acknowledging cost, on our transport and on the stock one."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import redis
from celery import Celery

from mailer.testbed.ses import UNLIMITED
from mailer.testbed.workers import Worker
from ops.bench.bench import STAGED, Bench
from ops.bench.figure import Figure, Verdict
from ops.bench.meter import clones, middle, push, queued_or_unacked, ratio

THREADS = 16
TARGET = 3.0


@dataclass(frozen=True, slots=True)
class Variant:
    """A worker and its configuration."""

    name: str
    app: str
    acks: str = "late"
    prefetch: int = 1


OURS = Variant("gated", "gated")
STOCK = (
    Variant("stock, late acks, prefetch × 1", "stock"),
    Variant("stock, late acks, prefetch × 4", "stock", prefetch=4),
    Variant("stock, early acks, prefetch × 4", "stock", acks="early", prefetch=4),
)


@dataclass(slots=True)
class Seen:
    """Tasks per second by the clock, per second of the worker's CPU, and of Redis's, one for each round."""

    per_second: list[float]
    per_worker_cpu: list[float]
    per_redis_cpu: list[float]


def run(bench: Bench) -> Figure:
    rounds, amount = (1, 3000) if bench.quick else (3, 6000)
    seen = {variant: Seen([], [], []) for variant in (OURS, *STOCK)}
    for number in range(rounds):
        for variant in (OURS, *STOCK):
            measure(bench, variant, amount, seen[variant], f"{variant.name}, round {number + 1} of {rounds}")

    figure = Figure(
        "noop",
        f"tasks without work, threads pool, {THREADS} threads, one process",
        ["transport", "tasks/s", "gated is", "tasks per worker CPU s", "gated is ", "tasks per Redis CPU s"],
    )
    ours = seen[OURS]
    for variant, its in seen.items():
        figure.rows.append(
            [
                *(variant.name, middle(its.per_second), ratio(ours.per_second, its.per_second)),
                *(middle(its.per_worker_cpu), ratio(ours.per_worker_cpu, its.per_worker_cpu)),
                middle(its.per_redis_cpu),
            ]
        )
    fastest = max(STOCK, key=lambda variant: middle(seen[variant].per_second))
    like_ours = STOCK[0]
    figure.verdicts = [
        Verdict(f"tasks/s against {like_ours.name}", ratio(ours.per_second, seen[like_ours].per_second), TARGET, "×"),
        Verdict(
            f"tasks/s against the fastest ({fastest.name})",
            ratio(ours.per_second, seen[fastest].per_second),
            TARGET,
            "×",
        ),
    ]
    figure.notes = [
        f"Medians of {rounds} alternating rounds of {amount:,} tasks; ratios are medians of each round's ratio.",
        "Late acks and prefetch × 1 is what the product promises: nothing lost, nothing waiting in a worker.",
    ]
    return figure


def measure(bench: Bench, variant: Variant, amount: int, seen: Seen, what: str) -> None:
    client = bench.valkey.client()
    client.flushall()
    environment = bench.environment(rate=UNLIMITED, BENCH_ACKS=variant.acks, BENCH_PREFETCH=str(variant.prefetch))
    app = f"ops.bench.noop:{variant.app}"
    with bench.workers(environment, count=1, concurrency=THREADS, pool="threads", app=app, queues="bulk") as [worker]:
        stage(bench, client, variant, amount)
        left = begin(bench, client, variant)
        timed(bench, worker, amount, left, what, seen)
    client.close()


def timed(bench: Bench, worker: Worker, amount: int, left: Callable[[], int], what: str, seen: Seen) -> None:
    cpu, redis_cpu = worker.cpu_seconds(), bench.valkey.cpu_seconds()
    took = bench.drain(amount, left, what)
    seen.per_second.append(amount / took)
    seen.per_worker_cpu.append(amount / (worker.cpu_seconds() - cpu))
    seen.per_redis_cpu.append(amount / (bench.valkey.cpu_seconds() - redis_cpu))


def stage(bench: Bench, client: redis.Redis, variant: Variant, amount: int) -> None:
    """Write the tasks where no worker looks: one by Celery itself, the others like it."""
    os.environ.update(bench.environment(rate=UNLIMITED))
    # It reads the environment when it is imported.
    apps = importlib.import_module("ops.bench.noop")
    app: Celery = getattr(apps, variant.app)
    with (
        app.connection_for_write(bench.valkey.url if variant.app == "stock" else None) as connection,
        app.amqp.Producer(connection) as producer,
    ):
        app.send_task(apps.TASK, queue=STAGED, producer=producer)
    key = staged_key(bench, variant)
    [envelope] = client.lrange(key, 0, -1)
    client.delete(key)
    push(client, key, clones(cast("bytes", envelope), amount))


def staged_key(bench: Bench, variant: Variant) -> str:
    return bench.keys.lane(STAGED) if variant.app == "gated" else STAGED


def begin(bench: Bench, client: redis.Redis, variant: Variant) -> Callable[[], int]:
    """Put the tasks before the worker; returns how to count those not done."""
    if variant.app == "gated":
        bench.release(client)
        return bench.left(client, "bulk")
    client.rename(STAGED, "bulk")
    return queued_or_unacked(client, "bulk")
