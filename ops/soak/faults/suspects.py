"""All workers killed with their hands full of urgent mail: fresh urgent mail must not wait for what they held."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from statistics import median

from mailer.testbed.waiting import NotInTime, until
from ops.soak.stage import Set
from ops.soak.trial import Fault, Size, Trial

IN_FLIGHT = 200
_FRESH = 40
_BULK = 8_000
_LATENCY_SECONDS, _LOOK_SECONDS = 0.02, 0.002


def run(trial: Trial) -> None:
    stage = trial.stage
    waits: list[float] = []
    for number in trial.pulls():
        trial.pause()
        _fill_hands(trial, number)
        for worker in stage.workers:
            worker.send_signal(signal.SIGKILL)
        for worker in list(stage.workers):
            stage.kill_worker(worker)
        trial.pull()
        stage.simulator.set_latency(f"{_LATENCY_SECONDS * 1e3:.0f}ms")
        stage.start_worker()
        suspects = stage.keys.suspects(stage.settings.lanes[0])
        with stage.client() as client:
            stage.until(lambda: client.llen(suspects), "what they held is reclaimed")  # noqa: B023
            names = [f"fresh{number}-{each}-" for each in range(_FRESH)]
            waits += [_seconds_of(trial, name) for name in names if client.llen(suspects)]
        stage.start_workers(stage.wanted.workers - 1)
        stage.simulator.set_latency(stage.wanted.latency)
    trial.allow_what_was_in_flight("kills")
    trial.note(f"{len(waits)} urgent mails were sent while suspects waited")
    usual = 1 / stage.wanted.rate + 0.05 + _LATENCY_SECONDS
    trial.expect("half of fresh urgent mail is at SES after", median(waits), usual, " s")
    trial.expect("a fresh urgent mail is at SES after", max(waits), usual, " s")


def _fill_hands(trial: Trial, number: int) -> None:
    """Every worker holds as many as it can, nearly all of them urgent."""
    stage = trial.stage
    # The load has urgent mail too, which would wait in front of what is measured.
    trial.enough()
    trial.rest()
    stage.simulator.set_latency("1500ms")
    trial.enqueue(f"held{number}-", IN_FLIGHT, stage.settings.lanes.most_urgent)
    trial.enqueue(f"bulk{number}-", _BULK)
    with stage.client() as client:
        stage.until(lambda: client.zcard(stage.keys.leases) >= IN_FLIGHT, "their hands are full")


def _seconds_of(trial: Trial, name: str) -> float:
    """From the end of the call that enqueues it until SES has it."""
    stage = trial.stage
    trial.enqueue(name, 1, stage.settings.lanes.most_urgent)
    start = time.monotonic()
    with suppress(NotInTime):
        until(lambda: stage.simulator.messages(recipient=f"{name}0@example.com"), seconds=120, every=_LOOK_SECONDS)
    seconds = time.monotonic() - start
    time.sleep(0.05)
    return seconds


FAULT = Fault(
    name="suspects",
    what=f"SIGKILL of all workers at once, {IN_FLIGHT} urgent messages in their hands and bulk beside",
    run=run,
    long=Size(messages=1_000, times=5, pause=1.0),
    short=Size(messages=1_000, times=1, pause=1.0),
    set=Set(workers=4, concurrency=50, rate=400),
)
