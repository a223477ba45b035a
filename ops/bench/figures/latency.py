"""The time that the product adds to a mail on an idle system: from `mailer.send` returning to the request at SES."""

from __future__ import annotations

import time
from dataclasses import astuple

from mailer.testbed.ses import UNLIMITED, simulated_ses
from mailer.testbed.stats import Quantiles
from ops.bench import mail
from ops.bench.bench import Bench
from ops.bench.figure import Figure, Verdict

HALF_MS, MOST_MS = 5.0, 20.0
AT_ONCE = 32
SHORTEST_GAP, LONGEST_GAP = 0.02, 0.2
SEED = 7
WARM_UP = 20


def run(bench: Bench) -> Figure:
    amount = 100 if bench.quick else 500
    sink = simulated_ses(UNLIMITED)
    returned: dict[str, float] = {}
    took: list[float] = []
    with sink, bench.producer() as producer:
        environment = bench.environment(rate=UNLIMITED, sink=sink.url)
        with bench.workers(environment, count=1, concurrency=AT_ONCE):
            gaps = list(enumerate(mail.gaps(WARM_UP + amount, SHORTEST_GAP, LONGEST_GAP, SEED)))
            for number, gap in bench.each(f"{amount} mails, one at a time", gaps):
                time.sleep(gap)
                to = f"customer-{number}@example.com"
                began = time.time()
                producer.send(to=to, sender=mail.SENDER, subject="Your password", text="Follow this link.")
                if number >= WARM_UP:
                    returned[to] = time.time()
                    took.append(1000 * (returned[to] - began))
            bench.wait(1.0, "the last ones")
        arrived = {row.recipient: row.at for row in sink.rows()}
    waits = Quantiles.of(1000 * (arrived[to] - at) for to, at in returned.items() if to in arrived)
    figure = Figure(
        "latency",
        f"one mail at a time on an idle system, one worker process, pool {bench.pool}, ms",
        ["from", "mails", "p50", "p90", "p99", "max"],
    )
    for name, values in (
        ("send() returning to its request at SES", waits),
        ("send() called to send() returning", Quantiles.of(took)),
    ):
        figure.rows.append([name, *astuple(values)])
    figure.verdicts = [
        Verdict("p50", waits.half, HALF_MS, " ms", at_most=True),
        Verdict("p99", waits.ninety_nine, MOST_MS, " ms", at_most=True),
        Verdict("mails that did not arrive", amount - waits.count, 0, at_most=True),
    ]
    figure.notes = [
        f"Random pauses of {1000 * SHORTEST_GAP:g} to {1000 * LONGEST_GAP:g} ms between mails; no rate limit.",
        "At SES: when the simulator has read the whole request, on the same clock.",
    ]
    return figure
