"""Failovers by real sentinels: the master killed, stopped for a while, and replaced as planned, under load."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from typing import Any

from mailer.testbed.valkey import Valkey
from ops.soak.stage import Set
from ops.soak.trial import Fault, Size, Trial

RESUMED_SECONDS = 5.0
_REPLICAS = 2

Blow = Callable[[Trial, Valkey], None]


def kill(_: Trial, master: Valkey) -> None:
    master.kill()


def stop(_: Trial, master: Valkey) -> None:
    master.send_signal(signal.SIGSTOP)


def plan(trial: Trial, _: Valkey) -> None:
    assert trial.stage.watched is not None
    trial.stage.watched.fail_over()


def _mend(master: Valkey) -> None:
    """It comes back as the master that it was, and the sentinels make a replica of it."""
    if master.running:
        master.send_signal(signal.SIGCONT)
    else:
        master.start()


def blows_of(*blows: Blow) -> Callable[[Trial], None]:
    """These, one after the other. Where there is no pause between them, the former master is told to follow at once."""

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
                watched.until_whole(hasten=trial.size.pause == 0)
        if not trial.stage.settings.redis_replicas:
            # Measured, and promised by nobody: see the table.
            trial.losses_allowed = trial.resends_allowed = trial.bulk_resends_allowed = trial.size.messages
            trial.holds_allowed = trial.throttled_allowed = trial.size.messages
        trial.expect("mail flows again after the promotion after", slowest, RESUMED_SECONDS, " s")
        trial.expect("workers that ended", sum(not worker.running for worker in trial.stage.workers), 0)

    return run


def _fault(
    name: str, what: str, options: Sequence[str] = (), *, blows: Sequence[Blow], settings: dict[str, Any] | None = None
) -> Fault:
    wanted = Set(
        rate=150,
        workers=3,
        replicas=_REPLICAS,
        valkey=options,
        settings={"redis_timeout_seconds": 2.0, "lease_seconds": 15.0, **(settings or {})},
    )
    return Fault(
        name=name,
        what=what,
        run=blows_of(*blows),
        long=Size(messages=30_000, times=1, pause=4.0),
        short=Size(messages=3_000, times=1, pause=1.0),
        set=wanted,
    )


_ALL = (kill, stop, plan, kill, plan, stop, kill)
_EACH = "the master killed 3 times, stopped and resumed 2 times, replaced as planned 2 times"
_SAFE = ("--min-replicas-to-write", "1", "--min-replicas-max-lag", "10")
_CONFIRMED = {"redis_replicas": 1}

SENTINEL = _fault(
    "sentinel", f"{_EACH}; MAILER_REDIS_REPLICAS=1, min-replicas-to-write 1", _SAFE, blows=_ALL, settings=_CONFIRMED
)
"""As the doctor asks for. The others are measured, and break promises."""
UNCONFIRMED = _fault("sentinel-unconfirmed", f"{_EACH}; min-replicas-to-write 1 only", _SAFE, blows=_ALL)
BARE = _fault("sentinel-bare", f"{_EACH}; neither", blows=_ALL)
