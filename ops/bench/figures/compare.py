"""The same mails sent by this project, by what one would write otherwise, and by a bare loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ops.bench.bench import Bench
from ops.bench.contenders.bullmq_sdk import BullMq
from ops.bench.contenders.celery_boto3 import CeleryBoto3
from ops.bench.contenders.contender import Contender, Sample
from ops.bench.contenders.dramatiq_boto3 import DramatiqBoto3
from ops.bench.contenders.floor import Floor
from ops.bench.contenders.mailer import Mailer
from ops.bench.figure import Figure, Verdict
from ops.bench.isolated import Missing
from ops.bench.meter import middle, ratio
from ops.bench.plot import Bars
from ops.bench.sinks import Sink, open_sink

OURS, NAIVE, BULLMQ, FLOOR = Mailer(), CeleryBoto3("threads", 16), BullMq(), Floor()
CONTENDERS: tuple[Contender, ...] = (
    OURS,
    Mailer("threads", 16),
    NAIVE,
    CeleryBoto3("prefork", 2),
    DramatiqBoto3(),
    BULLMQ,
    FLOOR,
)
ROUNDS = 5

Seen = dict[str, list[Sample]]


def run(bench: Bench) -> Figure:
    with open_sink(bench.folder) as sink:
        seen, missing = measure(bench, sink, CONTENDERS, ROUNDS)
    figure = Figure(
        "compare",
        "the same mails, one worker each, against the same Valkey and sink",
        [
            *("sent by", "mails/s", "per CPU s", "mailer is", "CPU ms", "Redis ms", "trips", "commands", "MB"),
        ],
    )
    figure.rows = [_row(name, samples, seen[OURS.name]) for name, samples in seen.items()]
    figure.verdicts = _verdicts(seen)
    figure.notes = [
        f"Medians of up to {len(seen[OURS.name])} alternating rounds; ratios are medians of each round's ratio.",
        f"The sink is {sink.kind}, which answers at once; no rate limit; 1 KB of HTML and a text.",
        "CPU: the worker's user and system time for each mail, from letting the queue loose until all is acknowledged.",
        "Redis, for each mail: CPU ms, round trips, and commands with those that scripts call.",
        "MB: resident memory; of forked children what they do not share. mailer also renders templates.",
        *(f"{name} is left out: {why}." for name, why in missing.items()),
    ]
    figure.plot = Bars(
        "mails per second of a worker's CPU",
        {name: _middle(samples, "per_cpu_second") for name, samples in seen.items()},
    )
    return figure


def measure(
    bench: Bench,
    sink: Sink,
    contenders: Sequence[Contender],
    rounds: int,
    environment: Mapping[str, str] | None = None,
) -> tuple[Seen, dict[str, str]]:
    """Samples by contender, one for each round, and why others have none."""
    seen: Seen = {}
    missing: dict[str, str] = {}
    rounds = 1 if bench.quick else rounds
    for number in range(rounds):
        for contender in contenders:
            if contender.name in missing:
                continue
            with bench.valkey.client() as client:
                client.flushall()
            amount = contender.amount // 5 if bench.quick else contender.amount
            with bench.shown(f"round {number + 1} of {rounds}: {contender.name}", None):
                try:
                    sample = contender.run(bench, sink, amount, dict(environment or {}))
                except Missing as why:
                    missing[contender.name] = str(why)
                else:
                    seen.setdefault(contender.name, []).append(sample)
    return seen, missing


def against(seen: Seen, other: Contender, value: str = "per_cpu_second") -> float | None:
    """Ours as a multiple of another's; None where that is missing."""
    if other.name not in seen:
        return None
    return ratio(*([getattr(sample, value) for sample in seen[name]] for name in (OURS.name, other.name)))


def _verdicts(seen: Seen) -> list[Verdict]:
    wanted = [
        ("mails per CPU-second against Celery + boto3, threads", against(seen, NAIVE), 12.0),
        ("mails per CPU-second against BullMQ + AWS SDK v3", against(seen, BULLMQ), 2.0),
        ("mails per CPU-second of the floor's", against(seen, FLOOR), 0.25),
    ]
    verdicts = [Verdict(what, found, target, "×") for what, found, target in wanted if found is not None]
    redis = against(seen, NAIVE, "redis_ms")
    assert redis is not None
    return [*verdicts, Verdict("Redis CPU per mail of stock Celery's", redis, 0.5, "×", at_most=True)]


def _row(name: str, samples: list[Sample], ours: list[Sample]) -> list[object]:
    has_queue = samples[0].redis_ms > 0
    return [
        *(name, _middle(samples, "per_second"), _middle(samples, "per_cpu_second")),
        ratio([each.per_cpu_second for each in ours], [each.per_cpu_second for each in samples]),
        _middle(samples, "worker_ms"),
        *(_middle(samples, value) if has_queue else "" for value in ("redis_ms", "round_trips", "commands")),
        _middle(samples, "memory_mb"),
    ]


def _middle(samples: list[Sample], value: str) -> float:
    return middle([getattr(sample, value) for sample in samples])
