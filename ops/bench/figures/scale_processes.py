"""From one worker process to many: does the rate stay exact, and what do they cost Redis?"""

from __future__ import annotations

from contextlib import ExitStack

from mailer.testbed.process import Process
from ops.bench.bench import Bench
from ops.bench.contenders.mailer import stage
from ops.bench.figure import Figure, Verdict, growth
from ops.bench.plot import Panel, Panels
from ops.bench.sinks import PythonSink
from ops.bench.steady import COLUMNS, Steady, steady

RATE = 400
LATENCY_MS = 80.0
AT_ONCE = 40
COUNTS, QUICK_COUNTS = (1, 4, 16, 64), (1, 2, 4)
SETTLE_SECONDS = 2.0
USED_TARGET, GROWTH_TARGET = 99.0, 2.0


def run(bench: Bench) -> Figure:
    counts = QUICK_COUNTS if bench.quick else COUNTS
    seconds = 3.0 if bench.quick else 10.0
    seen: dict[int, Steady] = {}
    started: list[Process] = []
    keys = bench.keys
    with (
        PythonSink(bench.folder, latency=LATENCY_MS) as sink,
        bench.valkey.client() as client,
        ExitStack() as stack,
    ):
        environment = bench.environment(rate=RATE, sink=sink.url)
        for count in counts:
            wanted = count - len(started)
            with bench.shown(f"starting {wanted} more processes", None):
                more = bench.workers(environment, count=wanted, concurrency=AT_ONCE, first=len(started) + 1)
                started += stack.enter_context(more)
            stage(bench, int(RATE * (seconds + SETTLE_SECONDS + 6)))
            bench.release(client)
            bench.wait(SETTLE_SECONDS, f"{count} processes: settling")
            seen[count] = steady(bench, sink, started, seconds, RATE, f"{count} processes")
            assert client.llen(keys.lane("bulk")), "the backlog ran out"
            client.delete(keys.lane("bulk"))
            bench.drain(1, bench.left(client, "bulk"), "the last ones")
    figure = Figure(
        "scale-processes",
        f"R = {RATE}, SES answering after {LATENCY_MS:g} ms, {AT_ONCE} at once in each process",
        ["processes", *COLUMNS],
        rows=[[count, *its.row] for count, its in seen.items()],
    )
    fewest, most = seen[counts[0]], seen[counts[-1]]
    figure.verdicts = [
        Verdict("least of R used", min(its.used for its in seen.values()), USED_TARGET, " %"),
        growth("Redis CPU per mail, most processes against one", most.redis_ms / fewest.redis_ms, GROWTH_TARGET),
        Verdict("round trips per mail with most processes", most.round_trips, 4.0, at_most=True),
    ]
    figure.notes = ["CPU, round trips and commands are for each mail; commands include those that scripts call."]
    figure.plot = Panels(
        f"1 to {counts[-1]} worker processes at R = {RATE}/s",
        [
            Panel("% of R used", "processes", counts, {"": [its.used for its in seen.values()]}),
            Panel("Redis CPU µs a mail", "processes", counts, {"": [1000 * its.redis_ms for its in seen.values()]}),
            Panel("round trips a mail", "processes", counts, {"": [its.round_trips for its in seen.values()]}),
        ],
    )
    return figure
