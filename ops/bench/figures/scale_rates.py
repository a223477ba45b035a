"""From one mail per second to more than this machine can send: what does the rate change?"""

from __future__ import annotations

from ops.bench.bench import Bench
from ops.bench.contenders.mailer import stage, warm_up
from ops.bench.figure import Figure, Verdict, growth
from ops.bench.plot import Panel, Panels
from ops.bench.sinks import open_sink
from ops.bench.steady import COLUMNS, Steady, steady

CASES = ((1, 20.0), (10, 8.0), (100, 5.0), (1_000, 5.0), (10_000, 5.0))
QUICK_CASES = ((1, 6.0), (100, 2.0), (1_000, 2.0), (10_000, 2.0))
PROCESSES, AT_ONCE = 2, 32
EXACT_UP_TO = 1_000
SETTLE_SECONDS = 2.0
MOST = 6_000  # per second, that two processes may reach here


def run(bench: Bench) -> Figure:
    cases = QUICK_CASES if bench.quick else CASES
    seen: dict[int, Steady] = {}
    for rate, seconds in cases:
        with open_sink(bench.folder) as sink, bench.valkey.client() as client:
            client.flushall()
            environment = bench.environment(rate=rate, sink=sink.url)
            with bench.workers(environment, count=PROCESSES, concurrency=AT_ONCE) as started:
                if rate >= EXACT_UP_TO:
                    warm_up(bench, client, AT_ONCE)
                stage(bench, int(min(rate, MOST) * (seconds + SETTLE_SECONDS + 3)) + 20)
                bench.release(client)
                bench.wait(SETTLE_SECONDS, f"R = {rate:,}: settling")
                seen[rate] = steady(bench, sink, started, seconds, rate, f"R = {rate:,}")
    figure = Figure(
        "scale-rates",
        f"R from 1 to 10,000 per second, {PROCESSES} processes, {AT_ONCE} at once in each",
        ["R", *COLUMNS],
        rows=[[rate, *its.row] for rate, its in seen.items()],
    )
    exact = min(its.used for rate, its in seen.items() if rate <= EXACT_UP_TO)
    rates = list(seen)
    slow, fast = seen[rates[0]], seen[rates[-1]]
    figure.verdicts = [
        Verdict(f"least of R used, up to {EXACT_UP_TO:,}", exact, 99.0, " %"),
        growth("Redis CPU per mail at the highest R, of that at the lowest", fast.redis_ms / slow.redis_ms, 1.0),
    ]
    figure.notes = [
        "The last R is above what this machine's processors can do: there the mails per second say what they can.",
        "CPU, round trips and commands are for each mail; what idle waiting costs is shared among few at low R.",
    ]
    per_mail = {
        "worker": [1000 * its.worker_ms for its in seen.values()],
        "Redis": [1000 * its.redis_ms for its in seen.values()],
    }
    figure.plot = Panels(
        "R from 1 to 10,000 per second",
        [
            Panel("% of R used", "R per second", rates, {"": [its.used for its in seen.values()]}),
            Panel("CPU µs a mail", "R per second", rates, per_mail, log_y=True),
            Panel("round trips a mail", "R per second", rates, {"": [its.round_trips for its in seen.values()]}),
        ],
    )
    return figure
