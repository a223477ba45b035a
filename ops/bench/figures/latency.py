"""The time that the product adds to a mail on an idle system: from `mailer.send` returning to the request at SES."""

from __future__ import annotations

import time

from mailer.simulator.client import Simulator
from ops.bench import mail
from ops.bench.bench import UNLIMITED, Bench
from ops.bench.figure import Figure, Verdict
from ops.bench.meter import quantile

HALF_MS, MOST_MS = 5.0, 20.0
AT_ONCE = 32
SHORTEST_GAP, LONGEST_GAP = 0.02, 0.2
SEED = 7
WARM_UP = 20


def run(bench: Bench) -> Figure:
    amount = 100 if bench.quick else 500
    sink = Simulator(rate=UNLIMITED, control_rate=0, quota=-1, smtp=False, keep=10)
    returned: dict[str, float] = {}
    took: list[float] = []
    with sink, bench.producer() as producer:
        environment = bench.environment(rate=UNLIMITED, sink=sink.url)
        with bench.workers(environment, count=1, concurrency=AT_ONCE):
            task = bench.progress.add_task(f"{amount} mails, one at a time", total=amount)
            for number, gap in enumerate(mail.gaps(WARM_UP + amount, SHORTEST_GAP, LONGEST_GAP, SEED)):
                time.sleep(gap)
                to = f"customer-{number}@example.com"
                began = time.time()
                producer.send(to=to, sender=mail.SENDER, subject="Your password", text="Follow this link.")
                if number >= WARM_UP:
                    returned[to] = time.time()
                    took.append(1000 * (returned[to] - began))
                bench.progress.update(task, advance=1)
            bench.progress.remove_task(task)
            bench.wait(1.0, "the last ones")
        arrived = {row.recipient: row.at for row in sink.rows()}
    waits = sorted(1000 * (arrived[to] - at) for to, at in returned.items() if to in arrived)
    took.sort()
    figure = Figure(
        "latency",
        f"one mail at a time on an idle system, one worker process, pool {bench.pool}, ms",
        ["from", "mails", "p50", "p90", "p99", "max"],
    )
    for name, values in (
        ("send() returning to its request at SES", waits),
        ("send() called to send() returning", took),
    ):
        shares = (quantile(values, share) for share in (0.5, 0.9, 0.99))
        figure.rows.append([name, len(values), *shares, values[-1]])
    figure.verdicts = [
        Verdict("p50", quantile(waits, 0.5), HALF_MS, " ms", at_most=True),
        Verdict("p99", quantile(waits, 0.99), MOST_MS, " ms", at_most=True),
        Verdict("mails that did not arrive", amount - len(waits), 0, at_most=True),
    ]
    figure.notes = [
        f"Random pauses of {1000 * SHORTEST_GAP:g} to {1000 * LONGEST_GAP:g} ms between mails; no rate limit.",
        "At SES: when the simulator has read the whole request, on the same clock.",
    ]
    return figure
