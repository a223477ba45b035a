"""How long an urgent message takes to SES when a hundred thousand others are before it."""

from __future__ import annotations

import time

from mailer.testbed.ses import simulated_ses
from mailer.testbed.stats import Quantiles
from ops.bench import mail
from ops.bench.bench import Bench
from ops.bench.figure import Figure, Verdict

RATE = 14
PROCESSES = 4
AT_ONCE = 16
BULK = 100_000
SHORTEST_GAP, LONGEST_GAP = 0.33, 1.0
SEED = 20


def run(bench: Bench) -> Figure:
    urgents, backlog = (20, 10_000) if bench.quick else (150, BULK)
    sink = simulated_ses(RATE, latency="20ms")
    with sink, bench.producer() as producer:
        environment = bench.environment(rate=RATE, sink=sink.url)
        with bench.workers(environment, count=PROCESSES, concurrency=AT_ONCE):
            mail.enqueue(producer, mail.recipients(backlog))
            bench.wait(3.0, "settling")
            enqueued: dict[str, float] = {}
            gaps = list(enumerate(mail.gaps(urgents, SHORTEST_GAP, LONGEST_GAP, SEED)))
            for number, gap in bench.each(f"{urgents} urgent messages among {backlog:,}", gaps):
                time.sleep(gap)
                to = f"urgent-{number}@example.com"
                enqueued[to] = time.time()
                producer.send(
                    to=to, sender=mail.SENDER, subject="Your password", text="Follow this link to choose another."
                )
            bench.wait(2.0, "the last ones")
            with bench.valkey.client() as client:
                left = client.llen(bench.keys.lane("bulk"))
        arrived = {row.recipient: row.at for row in sink.rows()}
        refused = sum(sink.stats()["refused"].values())
    waits = Quantiles.of(1000 * (arrived[to] - at) for to, at in enqueued.items() if to in arrived)
    ceiling = 1000 / RATE + 50

    figure = Figure(
        "urgent",
        f"enqueue to SES behind {backlog:,} at R = {RATE}, {PROCESSES} processes, pool {bench.pool}, ms",
        ["messages", "p50", "p90", "p99", "max", "1/R + 50 ms", "lost", "throttled", "bulk left"],
    )
    figure.rows = [
        [
            *(waits.count, waits.half, waits.nine_in_ten, waits.ninety_nine, waits.longest, ceiling),
            *(len(enqueued) - waits.count, refused, left),
        ]
    ]
    figure.verdicts = [
        Verdict("p99", waits.ninety_nine, ceiling, " ms", at_most=True),
        Verdict("urgent messages that did not arrive", len(enqueued) - waits.count, 0, at_most=True),
    ]
    figure.notes = [
        "From before the call of mailer.send to the moment the sink admits it.",
        f"Random pauses of {SHORTEST_GAP:g} to {LONGEST_GAP:g} s: none waits for another urgent one's permit.",
    ]
    return figure
