"""How much memory a worker process has after many mails, and whether that grows."""

from __future__ import annotations

from mailer.testbed.ses import UNLIMITED
from ops.bench.bench import Bench
from ops.bench.contenders.mailer import stage, warm_up
from ops.bench.figure import Figure, Verdict
from ops.bench.sinks import open_sink

AT_ONCE = 32
MOST_MB, GROWS_MB = 120.0, 2.0
SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)


def run(bench: Bench) -> Figure:
    amount = 20_000 if bench.quick else 200_000
    seen: list[float] = []
    with (
        open_sink(bench.folder) as sink,
        bench.valkey.client() as client,
        bench.workers(bench.environment(rate=UNLIMITED, sink=sink.url), count=1, concurrency=AT_ONCE) as [worker],
    ):
        started = worker.megabytes()
        warm_up(bench, client, AT_ONCE)
        stage(bench, amount)
        left = bench.left(client, "bulk")
        bench.release(client)
        for before, share in zip((0.0, *SHARES), SHARES, strict=False):
            rest = round(amount * (1 - share))
            part = round(amount * (share - before))
            bench.drain(part, lambda rest=rest: left() - rest, f"to {share:.0%} of {amount:,} mails")  # type: ignore[misc]
            seen.append(worker.megabytes())
    figure = Figure(
        "footprint",
        f"resident memory of one worker process, {AT_ONCE} at once, over {amount:,} mails, pool {bench.pool}",
        ["mails sent", "MB"],
        rows=[[0, started], *([round(amount * share), mb] for share, mb in zip(SHARES, seen, strict=True))],
    )
    figure.verdicts = [
        Verdict("at the end", seen[-1], MOST_MB, " MB", at_most=True),
        Verdict("growth over the second half", seen[-1] - seen[SHARES.index(0.5)], GROWS_MB, " MB", at_most=True),
    ]
    return figure
