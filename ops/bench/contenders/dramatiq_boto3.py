"""dramatiq and boto3, in an environment of their own: they are none of the product's parts."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import redis

from mailer.testbed.process import Process
from mailer.testbed.ses import UNLIMITED
from ops.bench import mail
from ops.bench.bench import Bench
from ops.bench.contenders.contender import Sample, timed
from ops.bench.isolated import python_environment
from ops.bench.sinks import Sink

_SOURCE = Path(__file__).with_name("dramatiq")
_QUEUE = ("dramatiq:bulk", "dramatiq:bulk.msgs")
_STAGED = ("staged:bulk", "staged:bulk.msgs")


class DramatiqBoto3:
    """One process. It is handed the finished mail."""

    amount = 1_500

    def __init__(self, threads: int = 16) -> None:
        self.name = f"dramatiq + boto3, {threads} threads"
        self._threads = threads

    def run(self, bench: Bench, sink: Sink, amount: int, environment: dict[str, str]) -> Sample:
        programs = python_environment("dramatiq", (_SOURCE / "requirements.txt").read_text())
        settings = bench.environment(rate=UNLIMITED, sink=sink.url, BENCH_THREADS=str(self._threads), **environment)
        settings["PYTHONPATH"] = str(_SOURCE)
        command = [str(programs / "dramatiq"), "actors", "--processes", "1", "--threads", str(self._threads)]
        with bench.valkey.client() as client, Process(command, bench.folder / "dramatiq.log", settings) as worker:

            def left() -> int:
                # A message is in the hash until it is acknowledged.
                return int(client.hlen(_QUEUE[1]))

            _stage(bench, programs, 2 * self._threads, settings)
            _release(client)
            bench.drain(1, left, "warming up")
            _stage(bench, programs, amount, settings)
            return timed(bench, sink, [worker], amount, lambda: _release(client), left, self.name)


def _stage(bench: Bench, programs: Path, amount: int, settings: dict[str, str]) -> None:
    file = bench.folder / "payloads.ndjson"
    with file.open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in mail.rendered(amount))
    command = [str(programs / "python"), str(_SOURCE / "actors.py"), str(file)]
    subprocess.run(command, env={**settings, "BENCH_STAGE": "1"}, check=True, capture_output=True)


def _release(client: redis.Redis) -> None:
    pipeline = client.pipeline(transaction=True)
    for staged, queue in zip(_STAGED, _QUEUE, strict=True):
        pipeline.rename(staged, queue)
    pipeline.execute()
