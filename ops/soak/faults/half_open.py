"""Connections to Valkey that go half open: packets are dropped, and neither end is told."""

from __future__ import annotations

from ops.soak.stage import Set
from ops.soak.trial import Fault, Size, Trial

AGAIN_SECONDS = 30.0


def run(trial: Trial) -> None:
    stage = trial.stage
    slowest = 0.0
    for _ in trial.pulls():
        trial.pause()
        assert stage.proxy is not None
        stage.proxy.freeze()
        trial.pull()
        stage.until_no_mail(1.0)
        slowest = max(slowest, 1.0 + trial.until_mail_flows(90))
    trial.expect("sending again after", slowest, AGAIN_SECONDS, " s")


def _fault(name: str, what: str, timeout: float, long: Size, short: Size) -> Fault:
    """One worker, so that no other hides that it stands still."""
    settings = {"connect_timeout_seconds": 3.0, "read_timeout_seconds": 30.0, "lease_seconds": 60.0}
    wanted = Set(workers=1, concurrency=16, proxied=True, settings={**settings, "redis_timeout_seconds": timeout})
    return Fault(name=name, what=what, run=run, long=long, short=short, set=wanted)


FAULT = _fault(
    "half-open",
    "packets of every open connection to Valkey dropped, with the default timeouts",
    5.0,
    long=Size(messages=20_000, times=4),
    short=Size(messages=600, times=1),
)
