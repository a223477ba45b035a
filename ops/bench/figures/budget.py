"""Where a mail's time goes, from take to settle: samples of a worker's stack, and Redis's own counters."""

from __future__ import annotations

import signal
import subprocess
from collections import Counter
from pathlib import Path

import psutil

from mailer.testbed.ses import UNLIMITED
from ops.bench.bench import Bench
from ops.bench.contenders.contender import Sample, timed
from ops.bench.contenders.mailer import stage, warm_up
from ops.bench.figure import Figure
from ops.bench.isolated import python_environment
from ops.bench.plot import Bars
from ops.bench.sinks import open_sink

PY_SPY = "py-spy==0.4.3"
AT_ONCE = 32
SAMPLES_PER_SECOND = 400
REST = "everything else"

# The deepest frame that one of these names decides. A file, and of some the functions.
PARTS: tuple[tuple[str, str, frozenset[str]], ...] = (
    ("socket to SES: writing", "curl/connection.py", frozenset({"_send"})),
    ("socket to SES: reading, checking", "curl/connection.py", frozenset()),
    ("reading SES's answer", "curl/http_answer.py", frozenset()),
    ("reading SES's answer", "curl/parts.py", frozenset({"ses_id_of", "_message_id"})),
    ("the request's JSON", "ses/request.py", frozenset()),
    ("signing", "ses/signer.py", frozenset()),
    ("the sends in flight", "mailer/ses/", frozenset()),
    ("rendering", "mailer/mail/template/", frozenset()),
    ("rendering", "mailer/mail/content.py", frozenset()),
    ("rendering", "jinja2/", frozenset()),
    ("decoding the arguments", "mailer/queue/payload.py", frozenset()),
    ("decoding the arguments", "mailer/mail/address.py", frozenset()),
    ("decoding the envelope", "broker/gate.py", frozenset({"_deliver"})),
    ("take: asking and reading", "broker/gate.py", frozenset()),
    ("leases", "queue/leases.py", frozenset()),
    ("take: asking and reading", "mailer/broker/", frozenset()),
    ("take: asking and reading", "mailer/queue/", frozenset()),
    ("take: asking and reading", "/redis/", frozenset()),
    ("door, pool and outcome", "mailer/worker/", frozenset()),
    ("Celery: strategy, request, state", "celery/", frozenset()),
    ("kombu: the event loop", "kombu/asynchronous/", frozenset()),
    ("kombu: the event loop", "kombu/utils/eventio.py", frozenset()),
    ("kombu: delivering", "kombu/", frozenset()),
)


def run(bench: Bench) -> Figure:
    amount = 15_000 if bench.quick else 40_000
    profiler = python_environment("py-spy", PY_SPY) / "py-spy"
    stacks = bench.folder / "stacks.txt"
    with (
        open_sink(bench.folder) as sink,
        bench.valkey.client() as client,
        bench.workers(bench.environment(rate=UNLIMITED, sink=sink.url), count=1, concurrency=AT_ONCE) as workers,
    ):
        warm_up(bench, client, AT_ONCE)
        left = bench.left(client, "bulk")

        def send(what: str) -> Sample:
            return timed(bench, sink, workers, amount, lambda: bench.release(client), left, what)

        stage(bench, amount)
        client.config_resetstat()
        process = psutil.Process(workers[0].pid)
        before = process.cpu_times()
        sample = send("without a profiler")
        after = process.cpu_times()
        commands = client.info("commandstats")
        stage(bench, amount)
        command = [str(profiler), "record", "--pid", str(workers[0].pid), "--rate", str(SAMPLES_PER_SECOND)]
        command += ["--format", "raw", "--output", str(stacks), "--duration", "600"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as spying:
            send("under a profiler")
            # As Ctrl-C: it writes down what it has.
            spying.send_signal(signal.SIGINT)
            _, said = spying.communicate()
    if not stacks.exists():
        raise RuntimeError(f"py-spy wrote nothing (it may need more rights): {said[-500:]}")
    in_user, in_kernel = read(stacks)
    worker_us = 1000 * sample.worker_ms
    kernel_us = worker_us * (after.system - before.system) / (after.user - before.user + after.system - before.system)
    microseconds = Counter(_shared_out(in_user, worker_us - kernel_us))
    microseconds.update(_shared_out(in_kernel, kernel_us))
    kernel = _shared_out(in_kernel, kernel_us)
    figure = Figure(
        "budget",
        f"a bulk mail with three variables and 1 KB of HTML, one worker process, {AT_ONCE} at once",
        ["part", "% of the worker", "µs a mail", "in the kernel"],
    )
    figure.rows = [[name, 100 * us / worker_us, us, kernel.get(name, 0.0)] for name, us in microseconds.most_common()]
    figure.rows.append(["worker, all of it", 100.0, worker_us, kernel_us])
    script = commands["cmdstat_evalsha"]
    inside = sum(stat["usec"] for name, stat in commands.items() if name in _IN_SCRIPT)
    redis_us = 1000 * sample.redis_ms
    figure.rows += [
        ["Redis: the script's own Lua", "", (script["usec"] - inside) / amount, ""],
        ["Redis: the commands it calls", "", inside / amount, ""],
        ["Redis: reading, writing, the rest", "", redis_us - script["usec"] / amount, ""],
        ["Redis, all of it", "", redis_us, ""],
    ]
    figure.notes = [
        f"{amount / script['calls']:.1f} mails for each call of take. The worker's total is its user and system time.",
        "A stack sampler's samples, by the deepest frame that belongs to a part; those inside a system call share out",
        "the time in the kernel, the others the time in user mode.",
    ]
    figure.plot = Bars("µs of a worker's processor for one mail", dict(microseconds.most_common()), compared=False)
    return figure


_IN_SCRIPT = frozenset(
    f"cmdstat_{name}"
    for name in (
        *("time", "hmget", "hget", "hset", "hdel", "hincrby", "hincrbyfloat", "exists", "rpop", "lpop", "lrange"),
        *("zadd", "zrem", "zrangebyscore", "zrange", "zcard", "ltrim", "hmset"),
    )
)
"""Functions that only the script calls here."""


SYSTEM_CALLS = frozenset({"_send", "_receive", "is_stale", "send_packed_command", "read_from_socket", "poll"})
"""Functions that, where a sample ends in them, are most likely in the kernel."""


def read(stacks: Path) -> tuple[Counter[str], Counter[str]]:
    """Samples of each part in user mode and in the kernel, of those in the worker's event loop."""
    in_user, in_kernel = Counter[str](), Counter[str]()
    for line in stacks.read_text(encoding="utf-8").splitlines():
        text, _, count = line.rpartition(" ")
        if "asynloop" in text:
            frames = text.split(";")
            where = in_kernel if _function(frames[-1]) in SYSTEM_CALLS else in_user
            where[_part(frames)] += int(count)
    return in_user, in_kernel


def _shared_out(samples: Counter[str], microseconds: float) -> dict[str, float]:
    total = max(1, samples.total())
    return {part: microseconds * count / total for part, count in samples.items()}


def _part(frames: list[str]) -> str:
    for frame in reversed(frames):
        place = frame.partition(" (")[2]
        name = _function(frame)
        for part, file, functions in PARTS:
            if file in place and (not functions or name in functions):
                return part
    return REST


def _function(frame: str) -> str:
    return frame.partition(" (")[0].rpartition(".")[2]
