"""Redis there, and of no use: full, read-only, without its scripts, slow."""

from __future__ import annotations

import time
from collections.abc import Callable

from redis import Redis

from mailer.testbed.waiting import free_port
from ops.soak.stage import Set
from ops.soak.trial import Fault, Size, Trial

RESUME_SECONDS = 15.0
_READ_ONLY_SECONDS = 2.0
_QUICK = {"redis_timeout_seconds": 1.0}


def _repeatedly(trouble: Callable[[Trial, Redis], None]) -> Callable[[Trial], None]:
    """Cause the trouble, and time how long mail takes to flow when it is over."""

    def run(trial: Trial) -> None:
        slowest = 0.0
        with trial.stage.client() as client:
            for _ in trial.pulls():
                trial.pause()
                trouble(trial, client)
                trial.pull()
                slowest = max(slowest, trial.until_mail_flows())
        trial.expect("mail flows again after", slowest, RESUME_SECONDS, " s")

    return run


def _full(trial: Trial, client: Redis) -> None:
    """Nothing more fits: producers are refused, while workers go on and so make room."""
    stage = trial.stage
    used = int(client.info("memory")["used_memory"])
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", str(max(1, used - 1_000_000)))
    refused = trial.ledger.refused
    stage.until(lambda: trial.ledger.refused > refused or not trial.load.is_alive(), "a producer is refused")
    # Workers that lose their connections now have to find their way back into a server that takes no writes.
    client.client_kill_filter(_type="normal", skipme=True)
    enough = stage.sent() + 2 * len(stage.workers) * stage.wanted.concurrency
    stage.until(
        lambda: stage.sent() >= enough or stage.look().waiting == 0, "the workers are back and send more than they held"
    )
    client.config_set("maxmemory", "0")


def _read_only(_: Trial, client: Redis) -> None:
    """A failover that the workers' connections outlive: writes are answered with READONLY."""
    client.replicaof("127.0.0.1", str(free_port()))
    time.sleep(_READ_ONLY_SECONDS)
    client.replicaof("no", "one")


def _forgetful(trial: Trial, client: Redis) -> None:
    for _ in range(20):
        client.script_flush()
        time.sleep(trial.chance.uniform(0, 0.05))


def _slow(trial: Trial, client: Redis) -> None:
    """Shorter than what a worker waits for an answer, and longer."""
    client.client_pause(int(1000 * trial.chance.choice((0.5, 2.5))), all=True)


def _fault(name: str, what: str, trouble: Callable[[Trial, Redis], None]) -> Fault:
    return Fault(
        name=name,
        what=what,
        run=_repeatedly(trouble),
        long=Size(messages=12_000, times=6),
        short=Size(messages=1_200, times=1),
        set=Set(workers=2, settings={**_QUICK, "lease_seconds": 10.0}),
    )


FULL = _fault("full", "maxmemory reached with noeviction, and connections killed meanwhile", _full)
READ_ONLY = _fault("read-only", "every write answered with READONLY for 2 s", _read_only)
FORGETFUL = _fault("script-flush", "SCRIPT FLUSH, twenty times in a second", _forgetful)
SLOW = _fault("slow", "CLIENT PAUSE for 0.5 s or 2.5 s", _slow)
