"""Redis's clock put back and forward under load, together with what else a failover comes with."""

from __future__ import annotations

import signal
import time

from ops.soak import clock
from ops.soak.stage import Set
from ops.soak.trial import Fault, Size, Trial

HOUR, DAY = 3600.0, 86_400.0
# In the end it shows what it did: mail for later is due by it.
STEPS = (-HOUR, -DAY, DAY, HOUR)
_NOTICED_SECONDS = 5.0
_PROBED_SECONDS = 60.0
_CUT_RECOVERY_SECONDS = 30.0


def run(trial: Trial) -> None:
    stage = trial.stage
    is_long = trial.size == FAULT.long
    slowest = dict.fromkeys(("flows", "reclaimed", "cut", "probed"), 0.0)
    for _ in trial.pulls():
        for step in STEPS if is_long else (-HOUR,):
            trial.pause()
            slowest["reclaimed"] = max(slowest["reclaimed"], _kill_and_step(trial, step))
        for step in STEPS if is_long else (HOUR,):
            trial.pause()
            slowest["flows"] = max(slowest["flows"], _stop_redis_and_step(trial, step))
        for step in STEPS if is_long else ():
            slowest["cut"] = max(slowest["cut"], _cut_and_step(trial, step))
            slowest["probed"] = max(slowest["probed"], _stop_and_step(trial, step))
    trial.enough()
    trial.allow_what_was_in_flight("kills")
    trial.throttled_allowed = stage.sent() // 500 + sum(stage.simulator.stats()["faults"].values())
    # A lease, and half of one in which workers may come back: it began a call later at the most.
    usual = 2 * stage.settings.lease_seconds + _NOTICED_SECONDS
    trial.expect("what lost workers held is reclaimed after", slowest["reclaimed"], usual, " s")
    trial.expect("mail flows again after", slowest["flows"], 15, " s")
    if is_long:
        trial.expect("a cut rate is whole again after", slowest["cut"], _CUT_RECOVERY_SECONDS + _NOTICED_SECONDS, " s")
        trial.expect("a stopped account sends again after", slowest["probed"], _PROBED_SECONDS + _NOTICED_SECONDS, " s")


def _step(trial: Trial, seconds: float) -> None:
    assert trial.stage.valkey_clock is not None
    trial.stage.valkey_clock.step(seconds)


def _kill_and_step(trial: Trial, step: float) -> float:
    """In how many seconds the last lease of a worker that was killed is over."""
    stage = trial.stage
    before, start = set(stage.orphans), time.monotonic()
    stage.kill_worker(trial.chance.choice(stage.workers))
    lost = stage.orphans - before
    _step(trial, step)
    trial.pull()
    with stage.client() as client:
        stage.until(lambda: lost.isdisjoint(client.hkeys(stage.keys.leased)), "what it held is reclaimed")
    seconds = time.monotonic() - start
    stage.start_worker(wait=len(stage.workers) < 2)
    return seconds


def _stop_redis_and_step(trial: Trial, step: float) -> float:
    """Redis stands still for longer than leases last, and its clock is another one when it goes on."""
    stage = trial.stage
    stage.valkey.send_signal(signal.SIGSTOP)
    try:
        trial.report.pulls += 1
        time.sleep(1.2 * stage.settings.lease_seconds)
        _step(trial, step)
    finally:
        stage.valkey.send_signal(signal.SIGCONT)
    return trial.until_mail_flows()


def _cut_and_step(trial: Trial, step: float) -> float:
    """In how many seconds a rate that was cut is whole again."""
    stage = trial.stage
    stage.simulator.add_fault("error", error="throttle", probability=0.5)
    stage.until(lambda: trial.status().rate.cut < 1, "the rate is cut")
    stage.simulator.clear_faults()
    _step(trial, step)
    trial.pull()
    return stage.until(lambda: trial.status().rate.cut == 1, "the rate is whole again", 120)


def _stop_and_step(trial: Trial, step: float) -> float:
    """In how many seconds SES is asked again whether it takes mail."""
    stage = trial.stage
    stage.simulator.add_fault("error", error="mail-from", operation=None)
    with stage.client() as client:
        stage.until(lambda: client.hexists(stage.keys.account, "stopped"), "the account stops")
    stage.simulator.clear_faults()
    _step(trial, step)
    trial.pull()
    return trial.until_mail_flows(2 * _PROBED_SECONDS)


FAULT = Fault(
    name="clock",
    what="Valkey's clock an hour and a day back, and forward, with kills, silences, a cut rate and a stopped account",
    run=run,
    long=Size(messages=300_000, times=1, pause=5.0),
    short=Size(messages=100_000, times=1, pause=0.5),
    set=Set(workers=2, rate=300, steps=True, settings={"redis_timeout_seconds": 1.0}),
    needs=clock.lacking,
)
