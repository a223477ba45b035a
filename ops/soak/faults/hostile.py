"""Hostile messages beside urgent mail: how long does one urgent mail wait, and what does a worker take."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from statistics import median

import redis

from mailer.testbed.workers import Worker
from ops.soak.hostile import MESSAGES, Hostile
from ops.soak.load import SENDER
from ops.soak.stage import Set
from ops.soak.trial import Fault, Size, Trial

_APART_SECONDS = 0.02
_AFTERWARDS_SECONDS, _SHORT_AFTERWARDS_SECONDS = 1.0, 0.4
_MOST_MS, _MOST_MB = 200.0, 300.0
# In the short trial the machine has other things to do.
_PATIENCE_MS = 5_000.0
_GONE_SECONDS = 60.0


class Prober(threading.Thread):
    """Enqueues one urgent mail after another, and remembers when."""

    def __init__(self, trial: Trial) -> None:
        super().__init__(name="prober", daemon=True)
        self.began: dict[str, float] = {}
        self._trial = trial
        self._stopped = threading.Event()

    def run(self) -> None:
        lane = self._trial.stage.settings.lanes[0]
        with self._trial.stage.producer() as producer:
            while not self._stopped.wait(_APART_SECONDS):
                began = time.time()
                sent = producer.send(to="urgent@example.com", sender=SENDER, subject="Hello", text="Hello.", lane=lane)
                self._trial.ledger.accept(lane, [sent])
                self.began[sent] = began

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def run(trial: Trial) -> None:
    stage, is_long = trial.stage, trial.size.times > 1
    stage.until(lambda: stage.sent() > 0, "the first mail arrives")
    trial.enough()
    trial.rest()
    prober = Prober(trial)
    prober.start()
    time.sleep(_AFTERWARDS_SECONDS)
    spans: list[tuple[str, float, float, float, str]] = []
    try:
        for hostile in MESSAGES:
            if is_long or hostile.quick:
                for _ in range(trial.size.times):
                    trial.report.pulls += 1
                    spans.append((hostile.name, *_beside(trial, hostile)))
    finally:
        prober.stop()
    trial.rest()
    arrived = {row.message_id: row.at for row in stage.simulator.rows()}
    trial.note(f"{'beside':36}{'worst wait':>11}{'half within':>12}{'memory':>9}")
    for name in dict.fromkeys(name for name, *_ in spans):
        mine = [span for span in spans if span[0] == name]
        waits = [
            1000 * (arrived[message] - began)
            for message, began in prober.began.items()
            if message in arrived and any(begin <= began <= end for _, begin, end, _, _ in mine)
        ]
        memory, said = max(span[3] for span in mine), mine[-1][4]
        trial.note(f"{name:36}{max(waits):8.0f} ms{median(waits):9.1f} ms{memory:6.0f} MB  {said}")
        trial.expect(f"worst wait beside {name}", max(waits), _MOST_MS if is_long else _PATIENCE_MS, " ms")
        trial.expect(f"memory of a worker beside {name}", memory, _MOST_MB, " MB")
    trial.expect("workers that ended", sum(not worker.running for worker in stage.workers), 0)
    trial.expect("urgent mails that did not arrive", len(prober.began.keys() - arrived.keys()), 0)


def _beside(trial: Trial, hostile: Hostile) -> tuple[float, float, float, str]:
    """Enqueue it, and wait until it is gone: when that began and ended, the worker's most memory, and what became."""
    stage, said = trial.stage, ""
    messages = list(hostile.make())
    for worker in stage.workers:
        _forget_peak(worker)
    begin = time.time()
    with stage.client() as client:
        try:
            for message in messages:
                client.lpush(stage.keys.lane(hostile.queue), message)
        except (redis.exceptions.ConnectionError, redis.exceptions.ResponseError) as error:
            said = f"Redis refuses it: {error}"
        else:
            if hostile.queue in stage.settings.lanes:
                stage.until(
                    lambda: int(client.hlen(stage.keys.aside("dead"))) >= len(messages),
                    f"{hostile.name}: all are dead letters",
                    _GONE_SECONDS,
                )
                said = "dead letters" if messages else ""
        time.sleep(_AFTERWARDS_SECONDS if trial.size.times > 1 else _SHORT_AFTERWARDS_SECONDS)
        end = time.time()
        # Not a part of the accounts: nobody is to send them.
        if hostile.queue not in stage.settings.lanes:
            client.unlink(stage.keys.lane(hostile.queue))
        client.unlink(stage.keys.aside("dead"), stage.keys.aside_index("dead"))
    return begin, end, max(_peak_megabytes(worker) for worker in stage.workers), said


def _forget_peak(worker: Worker) -> None:
    if worker.running:
        Path(f"/proc/{worker.pid}/clear_refs").write_text("5", encoding="ascii")


def _peak_megabytes(worker: Worker) -> float:
    """The most memory it had since."""
    if not worker.running:
        return 0.0
    status = Path(f"/proc/{worker.pid}/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


FAULT = Fault(
    name="hostile",
    what="messages that nobody should enqueue, beside urgent mail",
    run=run,
    long=Size(messages=100, times=3),
    short=Size(messages=100, times=1),
    set=Set(
        workers=1,
        concurrency=32,
        rate=300,
        latency="5ms",
        fsync="everysec",
        settings={"connect_timeout_seconds": 3.0, "read_timeout_seconds": 10.0, "lease_seconds": 30.0},
        # As the embedded server and docker-compose.yml have it.
        valkey=("--proto-max-bulk-len", "64mb", "--auto-aof-rewrite-min-size", "256mb"),
    ),
)
