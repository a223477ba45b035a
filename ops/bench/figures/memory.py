"""The memory of a queued bulk message in Redis, when its HTML has 50 KB."""

from __future__ import annotations

from ops.bench import mail
from ops.bench.bench import Bench
from ops.bench.figure import Figure, Verdict

HTML_BYTES = 50 * 1024
TARGET = 1024.0


def run(bench: Bench) -> Figure:
    amount = 10_000 if bench.quick else 100_000
    with bench.producer() as producer, bench.valkey.client() as client:
        # Connections, scripts and the buffers they grow are not the messages'.
        for _ in range(2):
            producer.send_many(mail.recipients(1000), sender=mail.SENDER, subject="warm", text="up")
            client.flushdb()
        keys = bench.keys
        before = int(client.info("memory")["used_memory"])
        with bench.shown(f"{amount:,} messages", amount) as show:
            mail.enqueue(
                *(producer, mail.recipients(amount)),
                html=mail.html(HTML_BYTES),
                progress=lambda _rows, made: show(made),
            )
        used = int(client.info("memory")["used_memory"]) - before
        lane = int(client.memory_usage(keys.lane("bulk"), samples=0) or 0)
        content = int(client.memory_usage(keys.content, samples=0) or 0)
        envelope = client.lindex(keys.lane("bulk"), amount // 2)
        assert client.llen(keys.lane("bulk")) == amount
        assert envelope is not None

    figure = Figure(
        "memory",
        f"Redis memory of {amount:,} bulk messages with {HTML_BYTES // 1024} KB of HTML",
        ["what", "bytes", "per message"],
    )
    figure.rows = [
        ["used_memory, all of it", used, used / amount],
        ["MEMORY USAGE of the lane", lane, lane / amount],
        ["MEMORY USAGE of the content", content, content / amount],
        ["an envelope", len(envelope), len(envelope)],
    ]
    figure.verdicts = [Verdict("bytes per message, content counted", used / amount, TARGET, at_most=True)]
    figure.notes = ["A name and two more variables each. used_memory is what the allocator gave out, slack included."]
    return figure
