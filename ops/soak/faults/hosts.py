"""Two hosts whose clocks are ten minutes apart, one of them cut off from everything in the middle of the load."""

from __future__ import annotations

import time

from mailer.testbed.environment import ACCESS_KEY, SECRET_KEY
from ops.soak import clock, network
from ops.soak.stage import Set
from ops.soak.trial import Fault, Size, Trial

CUT_SECONDS, SHORT_CUT_SECONDS = 30.0, 5.0
AGAIN_SECONDS = 30.0
APART_SECONDS = 600.0


def run(trial: Trial) -> None:
    stage = trial.stage
    assert stage.network is not None
    seconds = CUT_SECONDS if trial.size == FAULT.long else SHORT_CUT_SECONDS
    slowest = 0.0
    for _ in trial.pulls():
        trial.pause()
        connections = _connections(trial)
        stage.network.cut(1)
        trial.pull()
        stage.count_in_flight()
        time.sleep(seconds)
        stage.network.mend(1)
        slowest = max(slowest, stage.until(lambda before=connections: _connections(trial) - before, "it is back"))  # type: ignore[misc]
    trial.allow_what_was_in_flight("cuts")
    trial.expect("the host that was cut off is back after", slowest, AGAIN_SECONDS, " s")
    misdated = stage.simulator.stats()["refused"].get("credentials", 0)
    trial.note(f"{misdated} sends refused for their date" if not clock.lacking() else f"one clock: {clock.lacking()}")
    most = max(each["most_in_one_second"] for each in stage.simulator.stats()["regions"].values())
    # SES lets so many through in a second when its bucket is full.
    trial.expect("most sends in any second", most, 1.1 * stage.wanted.rate + 1)


def _connections(trial: Trial) -> set[str]:
    """The connections to Valkey from the host that is cut off."""
    with trial.stage.client() as client:
        found = client.client_list()
    return {each["addr"] for each in found if each["addr"].startswith(network.host_address(1))}


FAULT = Fault(
    name="hosts",
    what="two hosts in network namespaces, clocks 10 min apart, one cut off from Valkey and SES",
    run=run,
    long=Size(messages=30_000, times=2),
    short=Size(messages=2_700, times=1),
    set=Set(
        workers=4,
        hosts=2,
        host=network.Network.address,
        clocks=(0.0, APART_SECONDS),
        simulator={"secret": f"{ACCESS_KEY}:{SECRET_KEY}"},
    ),
    needs=network.lacking,
)
