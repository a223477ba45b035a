"""From one account to twenty on one Redis: is each still exact, and do they cost each other anything?"""

from __future__ import annotations

from contextlib import ExitStack

import redis

from mailer.producer.producer import Producer
from mailer.queue.keys import Keys
from mailer.queue.queue import Queue
from mailer.testbed.process import Process
from ops.bench import mail
from ops.bench.bench import Bench
from ops.bench.figure import Figure, Verdict, growth
from ops.bench.plot import Panel, Panels
from ops.bench.sinks import open_sink
from ops.bench.steady import Steady, steady

RATE = 50
AT_ONCE = 8
COUNTS, QUICK_COUNTS = (1, 5, 20), (1, 3)
SETTLE_SECONDS = 2.0


def run(bench: Bench) -> Figure:
    counts = QUICK_COUNTS if bench.quick else COUNTS
    seconds = 3.0 if bench.quick else 8.0
    seen: dict[int, tuple[Steady, float, float]] = {}
    started: list[Process] = []
    with open_sink(bench.folder) as sink, bench.valkey.client() as client, ExitStack() as stack:
        for count in counts:
            for number in range(len(started) + 1, count + 1):
                environment = bench.environment(rate=RATE, sink=sink.url, MAILER_ACCOUNT=_account(number))
                started += stack.enter_context(bench.workers(environment, count=1, concurrency=AT_ONCE, first=number))
            accounts = [Keys.of(bench.settings(account=_account(number))) for number in range(1, count + 1)]
            for keys in accounts:
                _enqueue(bench, keys, int(RATE * (seconds + SETTLE_SECONDS + 12)))
            bench.wait(SETTLE_SECONDS, f"{count} accounts: settling")
            before = [_charged(client, keys) for keys in accounts]
            its = steady(bench, sink, started, seconds, RATE * count, f"{count} accounts")
            used = [
                after - earlier
                for after, earlier in zip((_charged(client, keys) for keys in accounts), before, strict=True)
            ]
            assert all(client.llen(keys.lane("bulk")) for keys in accounts), "a backlog ran out"
            share = [100 * each * count / sum(used) for each in used]
            seen[count] = (its, min(share), max(share))
            for keys in accounts:
                client.delete(keys.lane("bulk"))
    figure = Figure(
        "scale-accounts",
        f"accounts on one Redis, each with R = {RATE} and a worker process of its own",
        ["accounts", "mails/s", "% of all R", "least, % of its share", "most", "Redis CPU ms", "round trips"],
    )
    figure.rows = [
        [count, its.per_second, its.used, least, most, its.redis_ms, its.round_trips]
        for count, (its, least, most) in seen.items()
    ]
    used_of_all = [its.used for its, _, _ in seen.values()]
    redis_us = [1000 * its.redis_ms for its, _, _ in seen.values()]
    one, all_of_them = seen[counts[0]][0], seen[counts[-1]][0]
    figure.verdicts = [
        Verdict("least of all R used", min(used_of_all), 99.0, " %"),
        growth("Redis CPU per mail with most accounts, of that with one", all_of_them.redis_ms / one.redis_ms, 1.5),
    ]
    figure.plot = Panels(
        f"1 to {counts[-1]} accounts on one Redis, R = {RATE}/s each",
        [
            Panel("% of all R used", "accounts", counts, {"": used_of_all}),
            Panel("Redis CPU µs a mail", "accounts", counts, {"": redis_us}),
            Panel("round trips a mail", "accounts", counts, {"": [its.round_trips for its, _, _ in seen.values()]}),
        ],
    )
    return figure


def _account(number: int) -> str:
    return f"bench-{number}"


def _enqueue(bench: Bench, keys: Keys, amount: int) -> None:
    with Producer(Queue(bench.valkey.client(), keys)) as producer:
        mail.enqueue(producer, mail.recipients(amount))


def _charged(client: redis.Redis, keys: Keys) -> int:
    """Permits used so far, as the quota counts them."""
    return sum(int(count) for count in client.hvals(keys.quota))
