"""The verdict on the stages: the limit of this host, and the needs of a wanted rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mailer.bench.stage import Measured

_ACCOUNT_SHARE = 0.93
_BUSY = 0.85
_MACHINE_BUSY = 0.93
_OTHERS = 0.3
"""Processors. Less than this is the system's own work for the bench."""
_SLOWER = 1.5
_PLAN_FOR = 0.7
"""Share of a process's processor. The rest is for loads that a measurement of a few seconds does not see."""
_SPARE = 1.5
"""Factor on rate × round trip for the threads, so that slow answers hold nothing up."""
_FEWEST_THREADS = 4


class Limit(StrEnum):
    """The resource that limits the rate."""

    ACCOUNT = "account"
    REDIS = "redis"
    CPU = "cpu"
    NETWORK = "network"
    LATENCY = "latency"


@dataclass(frozen=True, slots=True)
class Finding:
    """``why`` is a sentence with its figures."""

    limit: Limit
    why: str


@dataclass(frozen=True, slots=True)
class Advice:
    """For ``rate`` mails per second on hosts like this one. ``redis_cpu`` is a share of one of its processors."""

    rate: float
    processes: int
    threads: int
    hosts: int
    redis_cpu: float
    beyond_account: bool


def find_limit(stages: Sequence[Measured], allowed: float | None, cores: int) -> Finding:
    """The limit of the best stage."""
    best = max(stages, key=lambda stage: stage.per_second)
    calm = _calm(stages)
    if best.throttled or (allowed is not None and best.per_second >= _ACCOUNT_SHARE * allowed):
        used = f"{best.per_second:,.1f} of the {allowed:,g} per second that it allows" if allowed else "refusals"
        return Finding(Limit.ACCOUNT, f"The account: {used}. More processes cannot send more")
    if best.redis_cpu >= _BUSY:
        return Finding(Limit.REDIS, f"Redis: its processor is {best.redis_cpu:.0%} busy")
    if best.worker_cpu >= _BUSY * best.processes:
        return Finding(
            Limit.CPU,
            f"CPU: the workers keep {best.worker_cpu:.2f} processors busy, {best.worker_ms:.2f} ms for each mail",
        )
    if best.busy >= _MACHINE_BUSY:
        whose = f"the workers with {best.worker_cpu:.2f} of them"
        if best.place_cpu is not None:
            whose += f", the simulator with {best.place_cpu:.2f}, which SES itself would not need"
        others = best.busy * cores - best.worker_cpu - best.redis_cpu - (best.place_cpu or 0.0)
        if others >= _OTHERS:
            whose += f", and what else runs here with {others:.2f}"
        return Finding(Limit.CPU, f"CPU: this machine's {cores} processors are {best.busy:.0%} busy, {whose}")
    if best.round_trips.half >= _SLOWER * calm.round_trips.half:
        return Finding(
            Limit.NETWORK,
            f"The network or SES: half of the answers take {_ms(best.round_trips.half)} with {_at_once(best)}, "
            f"{_ms(calm.round_trips.half)} with {_at_once(calm)}, and no processor here is busy",
        )
    return Finding(
        Limit.LATENCY,
        f"Latency: {_at_once(best)} each wait {_ms(best.round_trips.half)} for an answer. More --threads send more",
    )


def advise(stages: Sequence[Measured], rate: float, allowed: float | None, cores: int) -> Advice:
    """Processes and threads for ``rate``, from the measured processor time and round trips."""
    single = max((stage for stage in stages if stage.processes == 1), key=lambda stage: stage.per_second)
    one_process = _PLAN_FOR * single.per_second / max(single.worker_cpu, 1e-3)
    processes = max(1, math.ceil(rate / one_process))
    # Under load an answer also waits for its turn on this host. More threads do not help with that.
    at_once = rate * _calm(stages).round_trips.nine_in_ten * _SPARE
    threads = max(_FEWEST_THREADS, math.ceil(at_once / processes))
    return Advice(
        rate=rate,
        processes=processes,
        threads=threads,
        hosts=math.ceil(processes / cores),
        redis_cpu=rate * single.redis_cpu / single.per_second,
        beyond_account=allowed is not None and rate > allowed,
    )


def _calm(stages: Sequence[Measured]) -> Measured:
    """The stage with the fewest sends at once."""
    return min(stages, key=lambda stage: stage.processes * stage.threads)


def _at_once(stage: Measured) -> str:
    count = stage.processes * stage.threads
    return f"{count} send{'s' if count > 1 else ''} at once"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"
