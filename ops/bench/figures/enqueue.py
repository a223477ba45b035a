"""Enqueueing: `mailer.send_many` and `mailer.send` against Celery's ``apply_async`` and BullMQ's ``addBulk``."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from itertools import product

import redis
from celery import Celery

from mailer.mail.content import Structured
from mailer.queue.headers import TASK
from mailer.worker.app import configuration
from ops.bench import mail
from ops.bench.bench import STAGED, Bench
from ops.bench.contenders.bullmq_sdk import Jobs
from ops.bench.figure import Figure, Verdict
from ops.bench.isolated import Missing
from ops.bench.meter import middle, ratio

TARGET, SEND_TARGET, BULK_TARGET = 6.0, 2.0, 1.0
ADD_BULK = "BullMQ addBulk, same payloads"

Enqueue = Callable[[int], tuple[float, float] | None]
"""Enqueues so many; in another process it returns what that took by the clock and of processor time, seconds."""


def run(bench: Bench) -> Figure:
    rounds, many, few = (1, 5_000, 500) if bench.quick else (5, 20_000, 2_000)
    client = bench.valkey.client()
    gated = Celery("enqueue-gated", set_as_current=False)
    gated.conf.update(configuration(bench.settings(rate_per_second=1000.0)))
    stock = Celery("enqueue-stock", broker=bench.valkey.url, set_as_current=False)
    # Whether sent as it is by us or by Celery, the same arguments.
    digest = Structured.of(
        sender=mail.SENDER, subject=mail.SUBJECT, text=mail.TEXT, html=mail.html(), templates=True
    ).hash

    ways: dict[str, tuple[int, Enqueue]] = {
        "send_many": (many, lambda count: _send_many(bench, count)),
        "apply_async, our transport": (few, lambda count: _apply_async(gated, digest, count)),
        "apply_async, stock transport": (few, lambda count: _apply_async(stock, digest, count)),
        "send, one by one": (few, lambda count: _send(bench, count)),
        "apply_async of whole mails, stock": (few, lambda count: _apply_async_whole(stock, count)),
        ADD_BULK: (many, lambda count: _add_bulk(jobs, count)),
    }
    left_out = ""
    with ExitStack() as stack:
        try:
            jobs = stack.enter_context(Jobs(bench))
        except Missing as why:
            left_out = f"{ADD_BULK} is left out: {why}."
            del ways[ADD_BULK]
        by_clock, by_cpu = _measure(bench, client, ways, rounds)
    client.close()
    gated.close()
    stock.close()

    figure = Figure(
        "enqueue",
        "messages enqueued per second by one process",
        ["way", "per second", "send_many is", "per producer CPU s", "send_many is "],
    )
    for name in ways:
        figure.rows.append(
            [
                *(name, middle(by_clock[name]), ratio(by_clock["send_many"], by_clock[name])),
                *(middle(by_cpu[name]), ratio(by_cpu["send_many"], by_cpu[name])),
            ]
        )
    figure.verdicts = [
        Verdict(f"send_many against {name}", ratio(by_clock["send_many"], by_clock[name]), TARGET, "×")
        for name in ("apply_async, our transport", "apply_async, stock transport")
    ]
    one, whole = by_clock["send, one by one"], by_clock["apply_async of whole mails, stock"]
    figure.verdicts.append(Verdict("send against apply_async of whole mails", ratio(one, whole), SEND_TARGET, "×"))
    if not left_out:
        bulk = ratio(by_cpu["send_many"], by_cpu[ADD_BULK])
        figure.verdicts.append(Verdict("send_many per CPU-second against addBulk", bulk, BULK_TARGET, "×"))
    figure.notes = [
        f"Medians of {rounds} alternating rounds, {many:,} messages by send_many and {few:,} by the others.",
        "send_many checks every row and its variables; apply_async is given a reference and variables ready made.",
        "apply_async has one connection and one Celery producer for the whole loop.",
        "addBulk is given the same arguments as our task has, a thousand at a time; V8 is warm.",
        *([left_out] if left_out else []),
    ]
    return figure


def _measure(
    bench: Bench, client: redis.Redis, ways: dict[str, tuple[int, Enqueue]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Messages per second and per CPU-second of each way, one value for each round."""
    by_clock: dict[str, list[float]] = {name: [] for name in ways}
    by_cpu: dict[str, list[float]] = {name: [] for name in ways}
    for number, (name, (count, enqueue)) in bench.each("enqueueing", list(product(range(rounds + 1), ways.items()))):
        per_second, per_cpu = _timed(client, count if number or name == ADD_BULK else 100, enqueue)
        if number:  # the first round is for connections and imports
            by_clock[name].append(per_second)
            by_cpu[name].append(per_cpu)
    return by_clock, by_cpu


@cache
def _rows(count: int) -> list[dict[str, object]]:
    """The recipients exist before the clock starts."""
    return list(mail.recipients(count))


@cache
def _whole(count: int) -> list[dict[str, str]]:
    return list(mail.rendered(count))


def _timed(client: redis.Redis, count: int, enqueue: Enqueue) -> tuple[float, float]:
    client.flushall()
    _rows(count)
    _whole(count)
    clock, cpu = time.perf_counter(), time.process_time()
    elsewhere = enqueue(count)
    if elsewhere is not None:
        return count / elsewhere[0], count / elsewhere[1]
    return count / (time.perf_counter() - clock), count / (time.process_time() - cpu)


def _add_bulk(jobs: Jobs, count: int) -> tuple[float, float]:
    return jobs.add({"to": row["to"], "vars": row["variables"]} for row in _rows(count))


def _send_many(bench: Bench, count: int) -> None:
    with bench.producer() as producer:
        assert mail.enqueue(producer, _rows(count)).accepted == count


def _send(bench: Bench, count: int) -> None:
    with bench.producer() as producer:
        for row in _whole(count):
            producer.send(**row, lane=STAGED)  # type: ignore[call-overload]


def _apply_async(app: Celery, digest: str, count: int) -> None:
    task = app.signature(TASK)
    with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
        for row in _rows(count):
            kwargs = {"to": row["to"], "vars": row["variables"]}
            task.apply_async(kwargs=kwargs, headers={"mailer_content": digest}, queue="bulk", producer=producer)


def _apply_async_whole(app: Celery, count: int) -> None:
    task = app.signature(TASK)
    with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
        for row in _whole(count):
            task.apply_async(kwargs=row, queue="bulk", producer=producer)
