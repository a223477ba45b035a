"""How much of the allowed rate is used while there is a backlog, and whether SES ever has to refuse."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise

import psutil

from mailer.testbed.ses import burst, simulated_ses
from ops.bench import mail
from ops.bench.bench import STAGED, Bench
from ops.bench.figure import Figure, Verdict

USED_TARGET = 99.5
AT_ONCE = 32
# The initial burst is over by then. Refusals and the most in one second count from the first message on.
SETTLE_SECONDS = 2.0
CASES = ((1, 40.0), (14, 20.0), (200, 12.0), (1000, 12.0))
QUICK_CASES = ((1, 20.0), (14, 8.0), (200, 6.0), (1000, 6.0))


@dataclass(frozen=True, slots=True)
class Case:
    """The figures at one rate with one number of processes."""

    used: float
    used_with_burst: float
    throttled: int
    most_in_one_second: int
    longest_gap: float
    cpu_ms: float
    busy: float


def run(bench: Bench) -> Figure:
    figure = Figure(
        "rate",
        f"the allowed rate used with a backlog, and refusals; pool {bench.pool}",
        [
            *("R per second", "processes", "% of R used", "with the burst", "throttled", "most in 1 s", "R + burst"),
            *("longest gap × R", "worker CPU ms each", "machine busy %"),
        ],
    )
    worst, throttled, over = 100.0 * 10, 0, -1e9
    for rate, seconds in QUICK_CASES if bench.quick else CASES:
        for processes in (1, 4):
            case = measure(bench, rate, processes, seconds)
            figure.rows.append(
                [
                    *(rate, processes, case.used, case.used_with_burst, case.throttled, case.most_in_one_second),
                    *(rate + burst(rate), case.longest_gap * rate, case.cpu_ms, case.busy),
                ]
            )
            worst, throttled = min(worst, case.used), throttled + case.throttled
            over = max(over, case.most_in_one_second - rate - burst(rate))
    figure.verdicts = [
        Verdict("least of R used", worst, USED_TARGET, " %"),
        Verdict("throttling errors", throttled, 0, at_most=True),
        Verdict("most sends in any one second beyond R + burst", over, 0, at_most=True),
    ]
    figure.notes = [
        "The sink admits from a bucket of max(2, R/10) recipients refilled at R per second and answers after 20 ms.",
        "On a busy machine workers stall, which no limiter can make good: see the last column before the others.",
        "% used: (n - 1) / (last - first) / R over the arrivals at the sink.",
        f"Counted from {SETTLE_SECONDS:g} s after the start; 'with the burst' and refusals from the first message on.",
    ]
    return figure


def measure(bench: Bench, rate: int, processes: int, seconds: float) -> Case:
    what = f"R = {rate}, {processes} process{'es' if processes > 1 else ''}"
    client = bench.valkey.client()
    client.flushall()
    # Mail goes on while we settle and stop: the lane must not run dry then.
    amount = int(rate * (seconds + 12) + 100)
    sink = simulated_ses(rate, latency="20ms")
    with sink, bench.producer() as producer:
        # Before the workers come, so that the producer does not compete with them for the processors.
        mail.enqueue(producer, mail.recipients(amount), lane=STAGED)
        environment = bench.environment(rate=rate, sink=sink.url)
        with bench.workers(environment, count=processes, concurrency=AT_ONCE) as started:
            bench.release(client)
            bench.wait(SETTLE_SECONDS, f"{what}: settling")
            cpu_before = sum(worker.cpu_seconds() for worker in started)
            psutil.cpu_percent()
            begin = time.time()
            bench.wait(seconds, what)
            end, busy = time.time(), float(psutil.cpu_percent())
            cpu = sum(worker.cpu_seconds() for worker in started) - cpu_before
            assert client.llen(bench.keys.lane("bulk")), "the backlog ran out"
        stats = sink.stats()
        arrivals = [row.at for row in sink.rows()]
    client.close()
    [region] = stats["regions"].values()
    steady = [at for at in arrivals if begin <= at <= end]
    if len(steady) < 2:
        raise RuntimeError(f"{what}: only {len(steady)} messages arrived; {stats}")
    return Case(
        used=100 * used(steady, rate),
        used_with_burst=100 * used([at for at in arrivals if at <= end], rate),
        throttled=sum(stats["refused"].values()),
        most_in_one_second=region["most_in_one_second"],
        longest_gap=max(after - before for before, after in pairwise(steady)),
        cpu_ms=1000 * cpu / len(steady),
        busy=busy,
    )


def used(arrivals: list[float], rate: float) -> float:
    """The share of ``rate`` between the first and the last arrival."""
    return (len(arrivals) - 1) / (arrivals[-1] - arrivals[0]) / rate
