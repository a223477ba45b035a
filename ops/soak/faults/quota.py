"""Three days of a quota that is too small: it runs out, others take some of it, it comes back as the window rolls.

Minutes pass on the simulator's clock, and for Redis by making older what it wrote down.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from mailer.testbed.waiting import NotInTime
from ops.bench.competitor import ADDRESS, Competitor
from ops.soak.passage import hold, let_pass
from ops.soak.stage import Set
from ops.soak.trial import Fault, Size, Trial

_QUOTAS = 2.6
"""The backlog, in quotas."""
_OTHERS = 0.05
"""The mail of others, as a fraction of the quota: once when half of it is used, and once when nearly all of it is."""
_OTHERS_AT = (0.5, 0.94)
_OTHERS_PER_SECOND = 150.0
_DAYS = 3.5
_DAY_MINUTES = 24 * 60
# So long in real time that some messages go in each step.
_STEP_SECONDS = 0.03
_STANDSTILL_SECONDS = 0.5


@dataclass(slots=True)
class Seen:
    """``parked`` are the moments, in minutes from the start, at which the status said so, and what it foretold."""

    minutes: int = 0
    parked: list[int] = field(default_factory=list)
    done_foretold: float | None = None
    refused_at: list[int] = field(default_factory=list)
    refused: int = 0


def run(trial: Trial) -> None:
    trial.enough()
    stage, simulator = trial.stage, trial.stage.simulator
    quota = int(trial.size.messages / _QUOTAS)
    simulator.set_account(quota=quota)
    hold(stage)
    trial.ledger.doubt([ADDRESS])
    trial.enqueue("q", trial.size.messages)
    step, seen, theirs = (5 if trial.size.messages > 10_000 else 30), Seen(), 0
    others = [fraction * quota for fraction in _OTHERS_AT]
    _pass(trial, step)
    while not _all_sent(trial):
        if seen.minutes > _DAYS * _DAY_MINUTES:
            raise NotInTime(f"not all sent within {_DAYS} days: {stage.look().waiting} left")
        if others and simulator.account()["used"] >= others[0]:
            others.pop(0)
            with Competitor(simulator.url, _OTHERS_PER_SECOND, int(_OTHERS * quota)) as competitor:
                competitor.join()
            theirs += competitor.refused
            trial.pull()
        _look(trial, seen, theirs)
        hold(stage)
        _pass(trial, step)
        seen.minutes += step
    _report(trial, seen, quota)


def _pass(trial: Trial, minutes: int) -> None:
    let_pass(trial.stage, minutes)
    time.sleep(_STEP_SECONDS)


def _all_sent(trial: Trial) -> bool:
    with trial.stage.client() as client:
        keys = trial.stage.keys
        return not client.llen(keys.lane("bulk")) and not client.zcard(keys.leases)


def _look(trial: Trial, seen: Seen, theirs: int) -> None:
    stage = trial.stage
    refused = int(stage.simulator.stats()["refused"].get("quota", 0)) - theirs
    if refused > seen.refused:
        seen.refused_at.append(seen.minutes)
        seen.refused = refused
    status = trial.status()
    if status.state != "parked" or status.forecast is None:
        return
    if not seen.parked and status.forecast.done_at is not None:
        seen.done_foretold = seen.minutes + (status.forecast.done_at - status.at) / 60
    seen.parked.append(seen.minutes)


def _report(trial: Trial, seen: Seen, quota: int) -> None:
    stage = trial.stage
    in_flight = stage.wanted.workers * stage.wanted.concurrency
    numbers = [int(row.recipient[1:].split("@")[0]) for row in stage.simulator.rows() if row.recipient.startswith("q")]
    apart = [after - before for before, after in zip(seen.refused_at, seen.refused_at[1:], strict=False)]
    news = bool(seen.refused_at) + sum(minutes > _DAY_MINUTES / 24 for minutes in apart)
    trial.expect("times that SES refused for the quota", news, 1)
    trial.expect("messages that it refused then", seen.refused, in_flight)
    # Others pass a message while the machine does not let its worker run.
    passed = 2 * in_flight + _STANDSTILL_SECONDS * stage.wanted.rate
    trial.expect("places by which a message left its order", _displaced(numbers), passed)
    trial.expect("days until all was sent", seen.minutes / _DAY_MINUTES, 3)
    parked = f"{seen.parked[0] / 60:.1f} h" if seen.parked else "never"
    refused = ", ".join(f"{minutes / 60:.1f} h" for minutes in seen.refused_at)
    trial.note(
        f"quota {quota}, {len(numbers)} messages; out of quota first after {parked}; SES refused after {refused}"
    )
    if seen.done_foretold is not None:
        done = f"done after {seen.done_foretold / 60:.1f} h; it was done after {seen.minutes / 60:.1f} h"
        trial.note(f"foretold when it was out of quota first, without others' mail: {done}")


def _displaced(numbers: list[int]) -> int:
    """The furthest that a message came from its place."""
    return max((abs(place - number) for place, number in enumerate(numbers)), default=0)


FAULT = Fault(
    name="quota",
    what="2.6 quotas queued; others take a tenth of one; three days pass",
    run=run,
    long=Size(messages=26_000, times=2),
    short=Size(messages=1_040, times=2),
    set=Set(
        workers=2,
        rate=300,
        latency="2ms",
        simulator={"rate": 2000, "bucket": 500},
        settings={"quota_per_day": None, "quota_reserve": 0},
    ),
)
