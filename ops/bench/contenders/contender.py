"""A way to send, and how it is measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mailer.testbed.process import Process
from ops.bench.bench import Bench
from ops.bench.meter import OWN_READS, counters
from ops.bench.sinks import Sink

_LIMIT_SECONDS = 300.0
_EVERY_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: milliseconds of processor time and Redis's work are for each mail, memory is all of its processes'."""

    per_second: float
    worker_ms: float
    memory_mb: float
    redis_ms: float = 0.0
    round_trips: float = 0.0
    commands: float = 0.0

    @property
    def per_cpu_second(self) -> float:
        return 1000 / self.worker_ms


class Contender(Protocol):
    """One way to send."""

    name: str
    amount: int
    """Mails of one run: a few seconds' worth."""

    def run(self, bench: Bench, sink: Sink, amount: int, environment: dict[str, str]) -> Sample:
        """Start it, warm it up, have it send so many mails, and end it. ``environment`` is what TLS needs. Raises
        Missing."""
        ...


def timed(
    bench: Bench,
    sink: Sink,
    workers: Sequence[Process],
    amount: int,
    release: Callable[[], None],
    left: Callable[[], int],
    what: str,
    *,
    exact: bool = True,
) -> Sample:
    """From ``release`` until the sink has all of them; then until nothing is ``left`` to acknowledge, for the rest of
    the processor time. Raises TimeoutError, and RuntimeError if ``exact`` and the sink has too many."""
    with bench.valkey.client() as client:
        arrived_before = sink.count()
        before = counters(client)
        worker_cpu, redis_cpu = sum(worker.cpu_seconds() for worker in workers), bench.valkey.cpu_seconds()
        with bench.shown(what, amount) as show:
            began = time.monotonic()
            release()
            while (arrived := sink.count() - arrived_before) < amount:
                show(arrived)
                _check(workers, began, f"{what}: {arrived} of {amount} arrived")
                time.sleep(_EVERY_SECONDS)
            took = time.monotonic() - began
            looks = 1
            while left() > 0:
                looks += 1
                _check(workers, began, f"{what}: not all were acknowledged")
                time.sleep(_EVERY_SECONDS)
        worker_cpu = sum(worker.cpu_seconds() for worker in workers) - worker_cpu
        redis_cpu = bench.valkey.cpu_seconds() - redis_cpu
        used = counters(client) - before
        arrived = sink.count() - arrived_before
        if exact and arrived != amount:
            raise RuntimeError(f"{what}: {arrived} mails arrived instead of {amount}")
    return Sample(
        per_second=amount / took,
        worker_ms=1000 * worker_cpu / arrived,
        memory_mb=sum(worker.megabytes() for worker in workers),
        redis_ms=1000 * redis_cpu / arrived,
        round_trips=(used.reads - OWN_READS - looks) / amount,
        commands=sum(used.calls.values()) / amount,
    )


def _check(workers: Sequence[Process], began: float, what: str) -> None:
    for worker in workers:
        worker.check()
    if time.monotonic() - began > _LIMIT_SECONDS:
        raise TimeoutError(f"{what} after {_LIMIT_SECONDS:.0f} s\n{workers[0].log_tail()}")
