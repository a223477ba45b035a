"""Clean stops of random workers, and a scale from many to one and back."""

from __future__ import annotations

import signal

from ops.soak.trial import Fault, Size, Trial

STOP_SECONDS = 15.0
_SIGNALS = (signal.SIGTERM, signal.SIGTERM, signal.SIGQUIT, signal.SIGINT)


def run(trial: Trial) -> None:
    stage = trial.stage
    slowest = 0.0
    for _ in trial.pulls():
        trial.pause()
        stage.until(lambda: any(each.ready for each in stage.workers), "a worker is ready")
        worker = trial.chance.choice([each for each in stage.workers if each.ready])
        slowest = max(slowest, stage.stop_worker(worker, trial.chance.choice(_SIGNALS)))
        trial.pull()
        stage.start_worker(wait=len(stage.workers) < 2)

    for worker in stage.workers[1:]:
        slowest = max(slowest, stage.stop_worker(worker))
        trial.pull()
    stage.start_workers(stage.wanted.workers - 1)
    trial.expect("slowest stop", slowest, STOP_SECONDS, " s")


FAULT = Fault(
    name="stop",
    what="SIGTERM, SIGQUIT and SIGINT of a random worker, then scale to one worker and back",
    run=run,
    long=Size(messages=20_000, times=30),
    short=Size(messages=1_200, times=2),
)
