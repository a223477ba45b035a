"""The cost of each mail in a system under an even load."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from mailer.testbed.process import Process
from ops.bench.bench import Bench
from ops.bench.meter import OWN_READS, counters
from ops.bench.sinks import Sink

_TURN_SECONDS = 0.005
_TO_THE_ARRIVAL_UP_TO = 200.0

COLUMNS = ("mails/s", "% of R", "worker CPU ms", "Redis CPU ms", "round trips", "commands")


@dataclass(frozen=True, slots=True)
class Steady:
    """Milliseconds of processor time, round trips and commands are per mail. ``rate`` is what was allowed a second."""

    rate: float
    per_second: float
    worker_ms: float
    redis_ms: float
    round_trips: float
    commands: float

    @property
    def used(self) -> float:
        """Per cent of the rate."""
        return 100 * self.per_second / self.rate

    @property
    def row(self) -> list[float]:
        """The cells of `COLUMNS`."""
        return [self.per_second, self.used, self.worker_ms, self.redis_ms, self.round_trips, self.commands]


def steady(bench: Bench, sink: Sink, workers: Sequence[Process], seconds: float, rate: float, what: str) -> Steady:
    """Measure for ``seconds``. At a low ``rate`` the measurement starts and ends with an arrival."""
    with bench.valkey.client() as client:
        begin, arrived = _arrival(sink, rate)
        cpu, redis_cpu = sum(worker.cpu_seconds() for worker in workers), bench.valkey.cpu_seconds()
        before = counters(client)
        bench.wait(seconds, what)
        used = counters(client) - before
        cpu = sum(worker.cpu_seconds() for worker in workers) - cpu
        redis_cpu = bench.valkey.cpu_seconds() - redis_cpu
        end, in_the_end = _arrival(sink, rate)
    mails = in_the_end - arrived
    if mails <= 0:
        raise RuntimeError(f"{what}: nothing arrived")
    for worker in workers:
        worker.check()
    return Steady(
        rate=rate,
        per_second=mails / (end - begin),
        worker_ms=1000 * cpu / mails,
        redis_ms=1000 * redis_cpu / mails,
        round_trips=(used.reads - OWN_READS) / mails,
        commands=sum(used.calls.values()) / mails,
    )


def _arrival(sink: Sink, rate: float) -> tuple[float, int]:
    """The present time and the number of arrivals. At a low ``rate``, wait for the next arrival first."""
    count = sink.count()
    if rate <= _TO_THE_ARRIVAL_UP_TO:
        before = count
        deadline = time.monotonic() + 5 / rate + 5
        while (count := sink.count()) == before and time.monotonic() < deadline:
            time.sleep(_TURN_SECONDS)
    return time.monotonic(), count
