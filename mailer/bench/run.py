"""A whole run: a destination, a Redis, the stages, and their verdict."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from mailer.bench.ladder import climb
from mailer.bench.place import Place
from mailer.bench.stage import Measured, Stages, cores
from mailer.bench.verdict import Advice, Finding, advise, find_limit
from mailer.host.valkey import EmbeddedValkey
from mailer.settings import Settings
from mailer.testbed.environment import settings_in, without

_KEPT = ("MAILER_REDIS_", "MAILER_AWS_", "MAILER_KEY_PREFIX", "MAILER_CONNECT_TIMEOUT_", "MAILER_READ_TIMEOUT_")


@dataclass(frozen=True, slots=True)
class Plan:
    """``seconds`` is the duration of each stage. ``rate`` is the wanted mails per second (None: the account's rate)."""

    seconds: float
    most_threads: int
    most_processes: int
    rate: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a run. Times are seconds, rates are per second."""

    place: str
    redis: str
    redis_round_trip: float
    cores: int
    stages: tuple[Measured, ...]
    finding: Finding
    advice: Advice

    @property
    def best(self) -> Measured:
        return max(self.stages, key=lambda stage: stage.per_second)


class Watcher(Protocol):
    """Receives the progress of a run."""

    def begins(self, place: str, redis: str, redis_round_trip: float) -> None:
        """All parts run. ``redis_round_trip`` is seconds."""
        ...

    def step(self, processes: int, threads: int, what: str) -> None:
        """The stage with these processes and threads is now at ``what``."""
        ...

    def measured(self, stage: Measured) -> None:
        """A stage is over."""
        ...


DEFAULT_RATE = 1000.0
"""The wanted rate if neither the caller nor the account gives one."""


def run(place: Place, plan: Plan, watcher: Watcher) -> Result:
    """Measure. Leaves nothing in Redis or on disk. Raises MailerError if it cannot measure.

    Of the product's settings in the environment it uses only those for the way to Redis and SES.
    """
    environment = without("MAILER_", keep=_KEPT)
    with ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="mailer-bench-", ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(temporary))
        settings, where = _redis(environment, folder, stack)
        stack.enter_context(place)
        stages = Stages(settings, place, folder, place.environment(environment), plan.seconds)
        stack.callback(stages.close)
        round_trip = stages.redis_round_trip()
        watcher.begins(place.name, where, round_trip)
        found = []
        for stage in climb(_measure(stages, watcher), plan.most_threads, plan.most_processes):
            found.append(stage)
            watcher.measured(stage)
    rate = plan.rate or place.allowed or DEFAULT_RATE
    return Result(
        place=place.name,
        redis=where,
        redis_round_trip=round_trip,
        cores=cores(),
        stages=tuple(found),
        finding=find_limit(found, place.allowed, cores()),
        advice=advise(found, rate, place.allowed, cores()),
    )


def _measure(stages: Stages, watcher: Watcher) -> Callable[[int, int, float], Measured]:
    def measure(processes: int, threads: int, expected: float) -> Measured:
        return stages.measure(processes, threads, expected, lambda what: watcher.step(processes, threads, what))

    return measure


def _redis(environment: Mapping[str, str], folder: Path, stack: ExitStack) -> tuple[Settings, str]:
    """Settings with a new account, on the configured Redis, or else on an embedded one."""
    settings = settings_in(environment, account=f"bench-{os.urandom(4).hex()}", data_dir=folder)
    if settings.redis_url is not None:
        return settings, "the one of MAILER_REDIS_URL"
    log = stack.enter_context((folder / "valkey.log").open("wb"))
    valkey = stack.enter_context(EmbeddedValkey(folder / "valkey", output=log))
    url = SecretStr(valkey.url)
    return settings.model_copy(update={"redis_url": url}), "a Valkey of its own on this host"
