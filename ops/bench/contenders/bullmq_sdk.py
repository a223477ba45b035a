"""BullMQ and the AWS SDK for JavaScript v3 on Node.js, connections kept open."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from mailer.testbed.environment import clean
from mailer.testbed.process import Process
from mailer.testbed.ses import UNLIMITED
from ops.bench import mail
from ops.bench.bench import Bench
from ops.bench.contenders import node
from ops.bench.contenders.contender import Sample, timed
from ops.bench.sinks import Sink

_WARM_UP = 2000
"""V8 compiles what it has seen often enough."""
_SOURCE = Path(__file__).with_name("bullmq")


class BullMq:
    """One process. It is handed the finished mail."""

    amount = 6_000

    def __init__(self, at_once: int = 50) -> None:
        self.name = f"BullMQ + AWS SDK v3, {at_once} at once"
        self._at_once = at_once

    def run(self, bench: Bench, sink: Sink, amount: int, environment: dict[str, str]) -> Sample:
        settings = bench.environment(rate=UNLIMITED, sink=sink.url, **environment)
        if "AWS_CA_BUNDLE" in settings:
            settings["NODE_EXTRA_CA_CERTS"] = settings["AWS_CA_BUNDLE"]
        with (
            bench.valkey.client() as client,
            Jobs(bench) as jobs,
            _Worker(bench, self._at_once, settings) as worker,
        ):

            def left() -> int:
                return sum(int(client.llen(f"bull:mail:{state}")) for state in ("wait", "active"))

            jobs.add(mail.rendered(_WARM_UP))
            bench.drain(1, left, "warming up")
            jobs.say("pause")
            jobs.add(mail.rendered(amount))
            return timed(bench, sink, [worker], amount, lambda: _released(jobs), left, self.name)


def _released(jobs: Jobs) -> None:
    jobs.say("resume")


class Jobs:
    """``queue.mjs``: the producer's side of the queue. Raises Missing where it cannot be had."""

    def __init__(self, bench: Bench) -> None:
        self._folder = bench.folder
        self._environment = clean(QUEUE_PORT=str(bench.valkey.port))
        self._programs = node.installed(_SOURCE)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            ["node", "queue.mjs"],
            cwd=self._programs,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def add(self, payloads: Iterable[Mapping[str, object]]) -> tuple[float, float]:
        """Enqueue them with ``addBulk``; returns the seconds by the clock and of processor time that it took."""
        file = self._folder / "payloads.ndjson"
        with file.open("w", encoding="utf-8") as lines:
            lines.writelines(json.dumps(payload) + "\n" for payload in payloads)
        took = self.say(f"add {file}")
        return float(took["seconds"]), float(took["cpu"])

    def say(self, command: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"queue.mjs ended at: {command}")
        answer: dict[str, Any] = json.loads(line)
        return answer


class _Worker(Process):
    def __init__(self, bench: Bench, at_once: int, settings: dict[str, str]) -> None:
        environment = {**settings, "QUEUE_PORT": str(bench.valkey.port), "CONCURRENCY": str(at_once)}
        program = node.installed(_SOURCE) / "worker.mjs"
        super().__init__(["node", str(program)], bench.folder / "bullmq.log", environment)
        self.log.unlink(missing_ok=True)

    def start(self) -> None:
        super().start()
        self.wait_for("ready")
