"""SIGKILL of a random worker, again and again."""

from __future__ import annotations

from ops.soak.trial import Fault, Size, Trial


def run(trial: Trial) -> None:
    stage = trial.stage
    for _ in trial.pulls():
        trial.pause()
        stage.kill_worker(trial.chance.choice(stage.workers))
        trial.pull()
        stage.start_worker(wait=len(stage.workers) < 2)
    trial.allow_what_was_in_flight("kills")


FAULT = Fault(
    name="kill",
    what="SIGKILL of a random worker",
    run=run,
    long=Size(messages=50_000, times=60),
    short=Size(messages=1_200, times=2),
)
