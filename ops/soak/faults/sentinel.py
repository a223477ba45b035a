"""Failovers by real sentinels: the master killed, stopped for a while, and replaced as planned, under load."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from typing import Any

from ops.soak.processes import Valkey
from ops.soak.stage import Set
from ops.soak.trial import Fault, Size, Trial

RESUMED_SECONDS = 5.0
_REPLICAS = 2

Blow = Callable[[Trial, Valkey], None]


def _kill(_: Trial, master: Valkey) -> None:
    master.kill()


def _stop(_: Trial, master: Valkey) -> None:
    master.signal(signal.SIGSTOP)


def _plan(trial: Trial, _: Valkey) -> None:
    assert trial.stage.watched is not None
    trial.stage.watched.fail_over()


def _mend(master: Valkey) -> None:
    """It comes back as the master that it was, and the sentinels make a replica of it."""
    if master.running:
        master.signal(signal.SIGCONT)
    else:
        master.start()


def _run(*blows: Blow) -> Callable[[Trial], None]:
    def run(trial: Trial) -> None:
        watched = trial.stage.watched
        assert watched is not None
        slowest = 0.0
        for _ in trial.pulls():
            for blow in blows:
                trial.pause()
                master = watched.master
                blow(trial, master)
                promoted = watched.until_promoted(master)
                slowest = max(slowest, watched.until_used(promoted))
                trial.report.pulls += 1
                trial.until_mail_flows()
                _mend(master)
                watched.until_whole()
        trial.expect("mail flows again after the promotion after", slowest, RESUMED_SECONDS, " s")
        trial.expect("workers that ended", sum(not worker.running for worker in trial.stage.workers), 0)

    return run


def _fault(name: str, what: str, options: Sequence[str], blows: Sequence[Blow], **settings: Any) -> Fault:
    wanted = Set(
        workers=3,
        replicas=_REPLICAS,
        valkey=options,
        settings={"redis_timeout_seconds": 2.0, "lease_seconds": 15.0, **settings},
    )
    return Fault(
        name=name,
        what=what,
        run=_run(*blows),
        long=Size(messages=30_000, times=1, pause=4.0),
        short=Size(messages=3_000, times=1, pause=1.0),
        set=wanted,
    )


_ALL = (_kill, _stop, _plan, _kill, _plan, _stop, _kill)
SAFE = ("--min-replicas-to-write", "1", "--min-replicas-max-lag", "10")

SENTINEL = _fault(
    "sentinel",
    "the master killed 3 times, stopped and resumed 2 times, replaced as planned 2 times; min-replicas-to-write 1",
    SAFE,
    _ALL,
)
BARE = _fault("sentinel-bare", "the same without min-replicas-to-write", (), _ALL)
CONFIRMED = _fault(
    "sentinel-confirmed",
    "the same with MAILER_REDIS_REPLICAS=1",
    SAFE,
    _ALL,
    redis_replicas=1,
)
PLANNED = _fault("sentinel-planned", "two planned failovers; min-replicas-to-write 1", SAFE, (_plan, _plan))
PLANNED_CONFIRMED = _fault("sentinel-planned-confirmed", "planned", SAFE, (_plan, _plan), redis_replicas=1)
PLANNED_BARE = _fault("sentinel-planned-bare", "the same without min-replicas-to-write", (), (_plan, _plan))
