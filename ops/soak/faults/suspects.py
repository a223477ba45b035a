"""All workers killed with their hands full of urgent mail: fresh urgent mail must not wait for what they held."""

from __future__ import annotations

import signal
import time
from statistics import median

from ops.soak.load import SENDER
from ops.soak.stage import Set
from ops.soak.trial import Fault, Size, Trial

IN_FLIGHT = 200
_FRESH = 40
_BULK, _AT_ONCE = 8_000, 1000
_LATENCY_SECONDS, _LOOK_SECONDS = 0.02, 0.002


def run(trial: Trial) -> None:
    stage = trial.stage
    waits: list[float] = []
    for number in trial.pulls():
        trial.pause()
        _fill_hands(trial, number)
        for worker in stage.workers:
            worker.signal(signal.SIGKILL)
        for worker in list(stage.workers):
            stage.kill_worker(worker)
        trial.pull()
        stage.simulator.set_latency(f"{_LATENCY_SECONDS * 1e3:.0f}ms")
        stage.start_worker()
        suspects = stage.keys.suspects(stage.settings.lanes[0])
        with stage.client() as client:
            stage.until(lambda: client.llen(suspects), "what they held is reclaimed")  # noqa: B023
            names = [f"fresh{number}-{each}" for each in range(_FRESH)]
            waits += [_seconds_of(trial, name) for name in names if client.llen(suspects)]
        stage.start_workers(stage.wanted.workers - 1)
        stage.simulator.set_latency(stage.wanted.latency)
    trial.resends_allowed = trial.holds_allowed = stage.in_flight_at_kills
    trial.note(f"{stage.in_flight_at_kills} messages were in flight at the kills")
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
    urgent, *_, bulk = stage.settings.lanes
    _send(trial, urgent, [f"held{number}-{each}" for each in range(IN_FLIGHT)])
    _send(trial, bulk, [f"bulk{number}-{each}" for each in range(_BULK)])
    with stage.client() as client:
        stage.until(lambda: client.zcard(stage.keys.leases) >= IN_FLIGHT, "their hands are full")


def _send(trial: Trial, lane: str, names: list[str]) -> None:
    stage = trial.stage
    with stage.producer() as producer:
        for first in range(0, len(names), _AT_ONCE):
            to = [f"{name}@example.com" for name in names[first : first + _AT_ONCE]]
            trial.ledger.accept(lane, producer.send(to=to, sender=SENDER, subject="Hello", text="Hello.", lane=lane))


def _seconds_of(trial: Trial, name: str) -> float:
    """From the end of the call that enqueues it until SES has it."""
    _send(trial, trial.stage.settings.lanes[0], [name])
    start = time.monotonic()
    while not trial.stage.simulator.messages(recipient=f"{name}@example.com"):
        time.sleep(_LOOK_SECONDS)
        if time.monotonic() - start > 120:
            break
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
