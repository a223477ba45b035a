"""From a hundred bytes to ten megabytes of HTML: does anything grow faster than the mail?"""

from __future__ import annotations

from mailer.testbed.ses import UNLIMITED
from ops.bench import mail
from ops.bench.bench import STAGED, Bench
from ops.bench.contenders.contender import Sample, timed
from ops.bench.contenders.mailer import warm_up
from ops.bench.figure import Figure, growth
from ops.bench.plot import Panel, Panels
from ops.bench.sinks import open_sink

SIZES = (100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000)
MOST, QUICK_MOST = 3_000, 400
BYTES, QUICK_BYTES = 150_000_000, 30_000_000
AT_ONCE = 32
GROWTH_TARGET = 1.5


def run(bench: Bench) -> Figure:
    seen: dict[int, Sample] = {}
    with (
        open_sink(bench.folder) as sink,
        bench.valkey.client() as client,
        bench.workers(bench.environment(rate=UNLIMITED, sink=sink.url), count=1, concurrency=AT_ONCE) as workers,
        bench.producer() as producer,
    ):
        warm_up(bench, client, AT_ONCE)
        for size in SIZES:
            most, most_bytes = (QUICK_MOST, QUICK_BYTES) if bench.quick else (MOST, BYTES)
            amount = max(3, min(most, most_bytes // size))
            html = "<p>" + "x" * (size - 7) + "</p>"
            for number in bench.each(f"{amount:,} bodies of {size:,} bytes", range(amount)):
                producer.send(
                    to=f"customer-{number}@example.com", sender=mail.SENDER, subject="Big", html=html, lane=STAGED
                )
            left = bench.left(client, "bulk")
            what = f"{size:,} bytes"
            seen[size] = timed(bench, sink, workers, amount, lambda: bench.release(client), left, what)
    figure = Figure(
        "scale-bodies",
        f"HTML of so many bytes, each message with its own, one process, {AT_ONCE} at once",
        ["bytes", "mails/s", "MB/s", "worker CPU ms", "worker CPU ms per MB", "Redis CPU ms", "worker MB"],
    )
    figure.rows = [
        [
            *(size, its.per_second, its.per_second * size / 1e6, its.worker_ms, its.worker_ms / size * 1e6),
            *(its.redis_ms, its.memory_mb),
        ]
        for size, its in seen.items()
    ]
    large, largest = SIZES[-2:]
    times = {
        name: getattr(seen[largest], name) / getattr(seen[large], name) / (largest / large)
        for name in ("worker_ms", "redis_ms")
    }
    figure.verdicts = [
        growth(f"worker CPU per byte at {largest:,} bytes, of that at {large:,}", times["worker_ms"], GROWTH_TARGET),
        growth("Redis CPU per byte, the same", times["redis_ms"], GROWTH_TARGET),
    ]
    figure.notes = [f"Up to {AT_ONCE} bodies are in a worker at once: with the largest that is where its memory goes."]
    megabytes = [its.per_second * size / 1e6 for size, its in seen.items()]
    figure.plot = Panels(
        "100 bytes to 10 MB of HTML",
        [
            Panel(
                "CPU ms a mail",
                "bytes",
                SIZES,
                {"worker": [its.worker_ms for its in seen.values()], "Redis": [its.redis_ms for its in seen.values()]},
                log_y=True,
            ),
            Panel("MB per second", "bytes", SIZES, {"": megabytes}, log_y=True),
        ],
    )
    return figure
