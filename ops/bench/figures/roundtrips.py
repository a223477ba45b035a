"""How often the workers ask Redis: for each message at a low rate, and when there is nothing to do."""

from __future__ import annotations

from mailer.testbed.ses import simulated_ses
from ops.bench import mail
from ops.bench.bench import Bench
from ops.bench.figure import Figure, Verdict
from ops.bench.meter import OWN_READS, Counters, counters

RATE = 14
PROCESSES = 16
AT_ONCE = 4
PER_MESSAGE, PER_SECOND = 4.0, 2.0
FROM_CLIENTS = ("evalsha", "eval", "blpop", "brpop", "ping", "publish", "subscribe", "psubscribe", "multi", "hello")


def run(bench: Bench) -> Figure:
    seconds = 8.0 if bench.quick else 30.0
    sink = simulated_ses(RATE, latency="20ms")
    figure = Figure(
        "roundtrips",
        f"Redis round trips, {PROCESSES} worker processes, {AT_ONCE} at once in each, pool {bench.pool}",
        ["state", "seconds", "messages", "round trips", "per message", "per s and process", "commands from clients"],
    )
    with sink, bench.producer() as producer, bench.valkey.client() as client:
        environment = bench.environment(rate=RATE, sink=sink.url)
        with bench.workers(environment, count=PROCESSES, concurrency=AT_ONCE):
            bench.wait(2.0, "settling")
            before = counters(client)
            took = bench.wait(seconds, "idle")
            idle = counters(client) - before
            per_second = (idle.reads - OWN_READS) / took / PROCESSES
            figure.rows.append(["idle", took, 0, idle.reads - OWN_READS, "", per_second, _commands(idle)])

            amount = int(RATE * (seconds + 15))
            mail.enqueue(producer, mail.recipients(amount))
            bench.wait(5.0, "settling with a backlog")
            sent, before = int(sink.stats()["recipients"]), counters(client)
            took = bench.wait(seconds, "backlog")
            busy = counters(client) - before
            sent = int(sink.stats()["recipients"]) - sent
            assert client.llen(bench.keys.lane("bulk")), "the backlog ran out"
            reads = busy.reads - OWN_READS
            figure.rows.append(["backlog", took, sent, reads, reads / sent, reads / took / PROCESSES, _commands(busy)])
    figure.verdicts = [
        Verdict(f"per message at R = {RATE} with a backlog", reads / sent, PER_MESSAGE, at_most=True),
        Verdict("per second and process when all is idle", per_second, PER_SECOND, at_most=True),
    ]
    figure.notes = [
        "A round trip is one request read off a client's socket (INFO stats: total_reads_processed).",
        "commandstats and total_commands_processed also count what scripts call; the last column leaves those out.",
        "The producer is idle meanwhile, and the bench's own reads are taken off.",
    ]
    return figure


def _commands(seen: Counters) -> str:
    return ", ".join(f"{name} {seen.calls[name]}" for name in FROM_CLIENTS if name in seen.calls)
