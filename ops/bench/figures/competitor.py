"""The share of the rate that is left to us, and to somebody else who uses half of the account."""

from __future__ import annotations

import time
from dataclasses import dataclass

from mailer.operations.status import read_status
from mailer.simulator.client import Simulator
from mailer.testbed.ses import simulated_ses
from ops.bench import mail
from ops.bench.bench import STAGED, Bench
from ops.bench.competitor import ADDRESS, Competitor
from ops.bench.figure import Figure, Verdict

SHARE = 0.5
RATES = (200, 50)
ALONE_SECONDS, AGAINST_SECONDS, AFTER_SECONDS = 5.0, 60.0, 45.0
QUICK_AGAINST_SECONDS = 20.0
# Refusals for the first few seconds are how one learns of a competitor at all.
USED_TARGET, REFUSED_TARGET, LOST_TARGET, FULL_TARGET = 95.0, 5.0, 10.0, 31.0
FULL = 0.99


@dataclass(frozen=True, slots=True)
class Case:
    """Percentages of the rate, of our calls and of the competitor's; ``full_after`` in seconds from its end."""

    alone: float
    ours: float
    total: float
    refused: float
    lost: float
    full_after: float
    refused_alone: int


def run(bench: Bench) -> Figure:
    figure = Figure(
        "competitor",
        f"somebody else sends R/{1 / SHARE:g} straight to SES; pool {bench.pool}",
        [
            *("R per second", "alone % of R", "ours % of R", "both % of R", "refused % of our calls"),
            *("refused % of theirs", "full rate after s", "refused alone"),
        ],
    )
    for rate in RATES:
        case = measure(bench, rate, QUICK_AGAINST_SECONDS if bench.quick else AGAINST_SECONDS)
        row = (case.alone, case.ours, case.total, case.refused, case.lost, case.full_after, case.refused_alone)
        figure.rows.append([rate, *row])
        figure.verdicts += [
            Verdict(f"R = {rate}: of the rate used by both", case.total, USED_TARGET, " %"),
            Verdict(f"R = {rate}: of our calls refused", case.refused, REFUSED_TARGET, " %", at_most=True),
            Verdict(f"R = {rate}: of the competitor's calls refused", case.lost, LOST_TARGET, " %", at_most=True),
            Verdict(f"R = {rate}: until the full rate is back", case.full_after, FULL_TARGET, " s", at_most=True),
        ]
    figure.notes = [
        "SES admits from a bucket of max(2, R/10) recipients refilled at R per second and answers after 20 ms.",
        "The competitor tries nothing again. Its beginning is counted, when we do not know of it yet.",
        f"The full rate is back when {FULL:.0%} of it is allowed again.",
    ]
    return figure


def measure(bench: Bench, rate: int, seconds: float) -> Case:
    what, settings = f"R = {rate}", bench.settings()
    client = bench.valkey.client()
    client.flushall()
    amount = int(rate * (ALONE_SECONDS + seconds + AFTER_SECONDS + 10))
    ses = simulated_ses(rate, latency="20ms")
    with ses, bench.producer() as producer:
        mail.enqueue(producer, mail.recipients(amount), html=None, lane=STAGED)
        with bench.workers(bench.environment(rate=rate, sink=ses.url), count=2, concurrency=32):
            bench.release(client)
            bench.wait(2, f"{what}: settling")
            alone = time.time()
            bench.wait(ALONE_SECONDS, f"{what}: alone")
            begin, refused_alone = time.time(), _refused(ses)
            with Competitor(ses.url, SHARE * rate) as competitor:
                bench.wait(seconds, f"{what}: against a competitor")
            end, refused = time.time(), _refused(ses) - refused_alone - competitor.refused
            full_after = bench.wait(
                AFTER_SECONDS, f"{what}: recovering", lambda: read_status(client, settings).rate.cut >= FULL
            )
            assert client.llen(bench.keys.lane("bulk")), "the backlog ran out"
        arrivals = [(row.at, row.recipient) for row in ses.rows()]
    client.close()
    ours = sum(begin <= at < end and to != ADDRESS for at, to in arrivals)
    return Case(
        alone=100 * sum(alone <= at < begin for at, _ in arrivals) / (begin - alone) / rate,
        ours=100 * ours / (end - begin) / rate,
        total=100 * sum(begin <= at < end for at, _ in arrivals) / (end - begin) / rate,
        refused=100 * refused / (ours + refused),
        lost=100 * competitor.refused / competitor.calls,
        full_after=full_after,
        refused_alone=refused_alone,
    )


def _refused(ses: Simulator) -> int:
    return sum(ses.stats()["refused"].values())
