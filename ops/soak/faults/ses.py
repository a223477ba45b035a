"""SES answering badly: resets before and after it accepted, errors, refusals for the rate, no answer."""

from __future__ import annotations

import time
from itertools import pairwise
from statistics import median

from ops.soak.stage import Set
from ops.soak.trial import Fault, Size, Trial

_FAULTS = [
    "reset,when=before,probability=0.05",
    "reset,when=after,probability=0.05",
    "error,error=internal,probability=0.05",
    "error,error=throttle,probability=0.05",
    "silence,when=after,probability=0.02",
]
_USED = 95.0
_SLICE_SECONDS = 0.3


def run(trial: Trial) -> None:
    stage, simulator = trial.stage, trial.stage.simulator
    for _ in trial.pulls():
        pass
    # From the first call to the last but a few: at the end only what is tried again is left.
    seen = [(time.monotonic(), _requests(trial))]

    def is_enqueued() -> bool:
        if time.monotonic() - seen[-1][0] > _SLICE_SECONDS:
            seen.append((time.monotonic(), _requests(trial)))
        return not trial.load.is_alive()

    stage.until(is_enqueued, "everything is enqueued", 60 + trial.size.messages)
    # In half of all slices: a machine that stands still for a moment is not what is looked for.
    slices = [(later - earlier) / (end - begin) for (begin, earlier), (end, later) in pairwise(seen)]
    used = 100 * median(slices) / stage.wanted.rate
    trial.report.pulls = sum(simulator.stats()["faults"].values())
    trial.rest()

    struck: dict[str, int] = simulator.stats()["faults"]
    trial.note(f"faults that struck: {struck}")
    # Answered with silence or a reset after it was accepted, or reset before (which looks the same from here).
    unknown = sum(count for name, count in struck.items() if name.startswith(("reset", "silence")))
    trial.holds_allowed = trial.resends_allowed = unknown
    trial.throttled_allowed = struck.get("error-before", 0)
    trial.expect("of the rate used", used, _USED, " %", at_most=False)


def _requests(trial: Trial) -> int:
    """Calls that reached SES, however they ended."""
    stats = trial.stage.simulator.stats()
    return int(sum(stats["requests"].values()))


FAULT = Fault(
    name="ses",
    what="5 % reset before acceptance, 5 % after, 5 % answered 500, 5 % throttled, 2 % never answered",
    run=run,
    long=Size(messages=20_000, times=1),
    short=Size(messages=1_500, times=1),
    set=Set(
        workers=2,
        concurrency=24,
        simulator={"fault": _FAULTS},
    ),
)
