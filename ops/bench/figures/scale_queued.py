"""From a thousand to five million messages waiting: does the next one take longer?"""

from __future__ import annotations

import redis

from mailer.testbed.ledger import id_in
from mailer.testbed.ses import UNLIMITED
from ops.bench.bench import STAGED, Bench
from ops.bench.contenders.contender import Sample, timed
from ops.bench.contenders.mailer import stage, warm_up
from ops.bench.figure import Figure, growth
from ops.bench.plot import Panel, Panels
from ops.bench.sinks import Sink, open_sink

DEPTHS, QUICK_DEPTHS = (1_000, 10_000, 100_000, 1_000_000, 5_000_000), (1_000, 10_000, 100_000)
AT_ONCE = 32
SENT = 10_000
GROWTH_TARGET = 1.5
AT_ONCE_COPIES = 100_000

_COPY = """
local envelope, id = redis.call('LINDEX', KEYS[1], 0), ARGV[1]
local pattern = string.gsub(id, '%p', '%%%0')
for number = ARGV[2], ARGV[3] do
  -- As long as the one it replaces.
  local other = string.sub(id, 1, -9) .. string.format('%08x', number)
  redis.call('LPUSH', KEYS[1], (string.gsub(envelope, pattern, other)))
end
"""


def run(bench: Bench) -> Figure:
    depths = QUICK_DEPTHS if bench.quick else DEPTHS
    seen: dict[int, tuple[Sample, float]] = {}
    with open_sink(bench.folder) as sink, bench.valkey.client() as client:
        for depth in depths:
            client.flushall(asynchronous=True)
            seen[depth] = _measure(bench, client, sink, depth)
    figure = Figure(
        "scale-queued",
        f"so many messages in the lane, {SENT:,} or all of them sent, one process, {AT_ONCE} at once",
        ["waiting", "mails/s", "worker CPU ms", "Redis CPU ms", "Redis bytes each"],
    )
    figure.rows = [
        [depth, sample.per_second, sample.worker_ms, sample.redis_ms, each] for depth, (sample, each) in seen.items()
    ]
    # The first is over in a moment, and its figures with it.
    few, many = seen[depths[1]][0], seen[depths[-1]][0]
    figure.verdicts = [
        growth(
            f"Redis CPU per mail with {depths[-1]:,} waiting, of that with {depths[1]:,}",
            many.redis_ms / few.redis_ms,
            GROWTH_TARGET,
        ),
        growth("worker CPU per mail, the same", many.worker_ms / few.worker_ms, GROWTH_TARGET),
    ]
    figure.notes = ["Copies of one bulk message that differ in their ids, made by a script inside Redis."]
    redis_us = [1000 * sample.redis_ms for sample, _ in seen.values()]
    worker_us = [1000 * sample.worker_ms for sample, _ in seen.values()]
    figure.plot = Panels(
        f"1,000 to {depths[-1]:,} messages waiting",
        [
            Panel("Redis CPU µs a mail", "messages waiting", depths, {"": redis_us}),
            Panel("worker CPU µs a mail", "messages waiting", depths, {"": worker_us}),
            Panel("Redis bytes a message", "messages waiting", depths, {"": [each for _, each in seen.values()]}),
        ],
    )
    return figure


def _measure(bench: Bench, client: redis.Redis, sink: Sink, depth: int) -> tuple[Sample, float]:
    keys = bench.keys
    sent = min(depth, SENT)
    with bench.workers(bench.environment(rate=UNLIMITED, sink=sink.url), count=1, concurrency=AT_ONCE) as workers:
        warm_up(bench, client, AT_ONCE)
        before = int(client.info("memory")["used_memory"])
        stage(bench, 1)
        [content_hash] = client.hkeys(keys.references)
        client.hset(keys.references, content_hash, depth)
        copy = client.register_script(_COPY)
        for first in bench.each(f"{depth:,} messages", range(1, depth, AT_ONCE_COPIES)):
            last = min(first + AT_ONCE_COPIES, depth) - 1
            copy(keys=[keys.lane(STAGED)], args=[_id_in(client, keys.lane(STAGED)), first, last])
        each = (int(client.info("memory")["used_memory"]) - before) / depth
        assert client.llen(keys.lane(STAGED)) == depth
        rest = depth - sent

        def left() -> int:
            return max(0, int(client.llen(keys.lane("bulk"))) - rest)

        what = f"{depth:,} waiting"
        sample = timed(bench, sink, workers, sent, lambda: bench.release(client), left, what, exact=rest == 0)
        client.delete(keys.lane("bulk"))
        bench.drain(1, bench.left(client, "bulk"), "the last ones")
    return sample, each


def _id_in(client: redis.Redis, lane: str) -> str:
    envelope = client.lindex(lane, 0)
    assert isinstance(envelope, bytes)
    return id_in(envelope)
