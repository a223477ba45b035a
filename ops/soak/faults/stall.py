"""A worker that stands still for longer than its leases last, and then goes on."""

from __future__ import annotations

import signal
import time

from ops.soak.trial import Fault, Size, Trial


def run(trial: Trial) -> None:
    stage = trial.stage
    for _ in trial.pulls():
        trial.pause()
        worker = trial.chance.choice(stage.workers)
        worker.send_signal(signal.SIGSTOP)
        trial.pull()
        stage.count_in_flight()
        time.sleep(stage.settings.lease_seconds * 1.2)
        worker.send_signal(signal.SIGCONT)
    trial.allow_what_was_in_flight("stalls")


FAULT = Fault(
    name="stall",
    what="SIGSTOP of a random worker for longer than its leases last, then SIGCONT",
    run=run,
    long=Size(messages=20_000, times=8),
    short=Size(messages=2_000, times=1),
)
