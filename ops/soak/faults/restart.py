"""Valkey killed and started again: at once, after longer than leases last, and with its last second gone."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from ops.soak.stage import Set
from ops.soak.trial import Fault, Size, Trial

_LAST_SECOND = 1.0
_SAMPLE_SECONDS = 0.05


def run(trial: Trial) -> None:
    for _ in trial.pulls():
        trial.pause()
        _restart(trial, trial.chance.uniform(0.05, 1.5))


def _restart(trial: Trial, seconds: float) -> None:
    stage = trial.stage
    stage.valkey.kill()
    trial.report.pulls += 1
    time.sleep(seconds)
    stage.valkey.start()


def run_away(trial: Trial) -> None:
    """No worker can settle while Redis is away, and all leases end."""
    stage = trial.stage
    slowest = 0.0
    for _ in trial.pulls():
        trial.pause()
        _restart(trial, stage.settings.lease_seconds * 1.5)
        slowest = max(slowest, trial.until_mail_flows())
    trial.expect("mail flows again after", slowest, 15, " s")


def run_everysec(trial: Trial) -> None:
    """As after a power cut: what was written in the last second before the kill is not in the file."""
    stage = trial.stage
    written = _Written(stage.folder / "appendonlydir")
    written.start()
    for _ in trial.pulls():
        trial.pause()
        stage.valkey.kill()
        trial.report.pulls += 1
        written.forget(_LAST_SECOND)
        stage.valkey.start()
    written.stop()
    # A second of the producers' messages is gone, and a second of sends is done again.
    seconds = trial.size.times * 2 * _LAST_SECOND
    trial.losses_allowed = trial.resends_allowed = trial.bulk_resends_allowed = int(seconds * stage.wanted.rate)
    trial.holds_allowed = trial.size.times * stage.wanted.workers * stage.wanted.concurrency


class _Written(threading.Thread):
    """How long the append-only files were, some moments ago."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self._folder = folder
        self._samples: list[tuple[float, dict[Path, int]]] = []
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(_SAMPLE_SECONDS):
            sizes = {path: path.stat().st_size for path in self._folder.glob("*.incr.aof")}
            self._samples = [*self._samples[-200:], (time.monotonic(), sizes)]

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    def forget(self, seconds: float) -> None:
        """Cut the files down to what they were then."""
        then = time.monotonic() - seconds
        _, sizes = next((sample for sample in reversed(self._samples) if sample[0] <= then), self._samples[0])
        self._samples = [(time.monotonic(), sizes)]
        for path, size in sizes.items():
            with path.open("r+b") as file:
                file.truncate(size)


RESTART = Fault(
    name="restart",
    what="SIGKILL of Valkey with appendfsync always, started again within 1.5 s",
    run=run,
    long=Size(messages=12_000, times=15),
    short=Size(messages=1_200, times=2),
)

AWAY = Fault(
    name="away",
    what="Valkey gone for longer than leases last",
    run=run_away,
    long=Size(messages=15_000, times=5),
    short=Size(messages=900, times=1),
    set=Set(
        workers=3,
        settings={
            "connect_timeout_seconds": 0.5,
            "read_timeout_seconds": 1.0,
            "lease_seconds": 3.0,
            "redis_timeout_seconds": 1.0,
        },
    ),
)

EVERYSEC = Fault(
    name="everysec",
    what="SIGKILL of Valkey, and the last second of its append-only file cut off (a power cut with everysec)",
    run=run_everysec,
    long=Size(messages=12_000, times=15),
    short=Size(messages=1_200, times=1),
    set=Set(fsync="everysec"),
)
