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
        worker.signal(signal.SIGSTOP)
        trial.pull()
        stage.count_in_flight()
        time.sleep(stage.settings.lease_seconds * 1.2)
        worker.signal(signal.SIGCONT)
    trial.resends_allowed = trial.holds_allowed = stage.in_flight_at_kills
    trial.note(f"{stage.in_flight_at_kills} messages were in flight at the stalls")


FAULT = Fault(
    name="stall",
    what="SIGSTOP of a random worker for longer than its leases last, then SIGCONT",
    run=run,
    long=Size(messages=20_000, times=8),
    short=Size(messages=2_000, times=1),
)
