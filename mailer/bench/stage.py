"""One measurement: a number of worker processes and threads process a backlog for some seconds."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import redis

from mailer.bench.place import Place
from mailer.bench.reports import FOLDER, Line, read
from mailer.errors import MailerError
from mailer.host.supervisor import workers
from mailer.producer.producer import Producer
from mailer.queue.connection import connect, redis_url
from mailer.queue.keys import Keys
from mailer.queue.queue import ring
from mailer.settings import Settings
from mailer.testbed.process import Process, stop_all
from mailer.testbed.ses import UNLIMITED
from mailer.testbed.stats import Quantiles
from mailer.testbed.waiting import PATIENCE_SECONDS, until

LANE = "bulk"

_SETTLE_SECONDS = 0.5
_TURN_SECONDS = 0.05
_MOST_BACKLOG = 100_000
_HTML = "<p>Hello {{ name }}, this is a mail of usual size.</p>\n" * 20


class NothingSent(MailerError):
    """Nothing was sent while it was measured. The text has the remedy."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The results of one stage."""

    processes: int
    threads: int
    per_second: float
    round_trips: Quantiles
    """Seconds from making a request to its answer."""
    worker_cpu: float
    """Processor seconds per second of all worker processes together."""
    redis_cpu: float
    """Processor seconds per second of the Redis server, including its other users."""
    busy: float
    """Share of this machine's processors in use by anything."""
    place_cpu: float | None
    """Processor seconds per second of the simulator. None if the place is SES itself."""
    failures: dict[str, int]
    """The number of sends that SES did not accept, by the name of the error."""

    worker_ms: float = 0.0
    """Milliseconds of a worker's processor time per mail. Always computed."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "worker_ms", 1000 * self.worker_cpu / self.per_second)

    @property
    def throttled(self) -> int:
        return self.failures.get("RateExceeded", 0)


class Stages:
    """Measures stages on one Redis, under its own account. Deletes the account's keys afterwards.

    ``folder`` is for logs and reports, ``environment`` is that of the workers.
    """

    def __init__(
        self, settings: Settings, place: Place, folder: Path, environment: Mapping[str, str], seconds: float
    ) -> None:
        self._settings = settings
        self._place = place
        self._folder = folder
        self._environment = environment
        self._seconds = seconds
        self._client = connect(settings)
        self._keys = Keys.of(settings)

    def close(self) -> None:
        self._sweep()
        self._client.close()

    def redis_round_trip(self) -> float:
        """Seconds, the median of some pings."""
        taken = []
        for _ in range(50):
            began = time.perf_counter()
            self._client.ping()
            taken.append(time.perf_counter() - began)
        return sorted(taken)[len(taken) // 2]

    def measure(self, processes: int, threads: int, expected: float, say: Callable[[str], object]) -> Measured:
        """Measure one stage. ``expected`` is the mails per second that it may reach; it determines the backlog. Raises
        MailerError.
        """
        self._sweep()
        reports = self._folder / "reports"
        shutil.rmtree(reports, ignore_errors=True)
        reports.mkdir()
        # Nobody sends until the whole backlog is enqueued.
        self._client.hset(self._keys.account, "paused", "the bench begins soon")
        say("starting")
        started = self._workers(processes, threads, reports)
        try:
            for worker in started:
                worker.start()
            say("enqueueing")
            reached = min(expected, 1.2 * (self._place.allowed or UNLIMITED))
            backlog = int(reached * (self._seconds + 2 * _SETTLE_SECONDS)) + 4 * threads * processes
            self._enqueue(min(_MOST_BACKLOG, backlog))
            # Each writes its first report when its event loop runs.
            self._until(lambda: sum(map(bool, read(reports))) == processes, "the workers start", started)
            self._client.hdel(self._keys.account, "paused")
            ring(self._client, [self._keys.doorbell(lane) for lane in self._settings.lanes])
            say("measuring")
            return self._window(processes, threads, reports, started)
        finally:
            stop_all(started)
            self._sweep()

    def _workers(self, processes: int, threads: int, reports: Path) -> list[Process]:
        environment = {
            **self._environment,
            "MAILER_REDIS_URL": redis_url(self._settings),
            "MAILER_ACCOUNT": self._settings.account,
            "MAILER_RATE_PER_SECOND": repr(self._place.allowed or UNLIMITED),
            "MAILER_QUOTA_PER_DAY": "-1",
            "CELERY_CUSTOM_WORKER_POOL": "mailer.bench.pool:MeasuringPool",
            FOLDER: str(reports),
        }
        log = self._folder / f"workers-{processes}-{threads}.log"
        members = workers(processes, threads, [LANE], name="bench", loglevel="warning")
        return [Process(member.command, log, environment) for member in members]

    def _enqueue(self, amount: int) -> None:
        with Producer.of(self._settings) as producer:
            producer.send_many(
                ({"to": self._place.recipient, "variables": {"name": f"number {number}"}} for number in range(amount)),
                sender=self._place.sender,
                subject="mailer bench",
                text="Hello {{ name }}.",
                html=_HTML,
                lane=LANE,
            )

    def _until(
        self, condition: Callable[[], bool], what: str, started: Sequence[Process], seconds: float = PATIENCE_SECONDS
    ) -> None:
        """Wait while the workers run. Raises DidNotStart if one does not, and NotInTime."""

        def holds() -> bool:
            for worker in started:
                worker.check("A worker ended")
            return condition()

        until(holds, lambda: f"{what}. The last lines of their log:\n{started[0].log_tail()}", seconds, _TURN_SECONDS)

    def _window(self, processes: int, threads: int, reports: Path, started: Sequence[Process]) -> Measured:
        self._until(lambda: any(line.round_trips for lines in read(reports) for line in lines), "mail is sent", started)
        time.sleep(_SETTLE_SECONDS)
        server, place, began = self._redis_cpu(), self._place.cpu_seconds(), time.time()
        psutil.cpu_percent()
        ends, lane = began + self._seconds, self._keys.lane(LANE)
        limit = self._seconds + PATIENCE_SECONDS
        self._until(lambda: time.time() >= ends or not self._client.llen(lane), "the time is over", started, limit)
        server, took, busy = self._redis_cpu() - server, time.time() - began, psutil.cpu_percent() / 100
        place_ended = self._place.cpu_seconds()
        # The line that ends the window of each process is on its way.
        time.sleep(3 * _TURN_SECONDS)
        found = [_Window.of(lines, began, began + took) for lines in read(reports)]
        round_trips = [seconds for window in found for seconds in window.round_trips]
        if not round_trips:
            raise NothingSent("Nothing was sent while it was measured: give it more --seconds")
        failures = Counter(name for window in found for name in window.failures)
        return Measured(
            processes=processes,
            threads=threads,
            per_second=sum(window.per_second for window in found),
            round_trips=Quantiles.of(round_trips),
            worker_cpu=sum(window.cpu for window in found),
            redis_cpu=server / took,
            busy=busy,
            place_cpu=None if place is None or place_ended is None else (place_ended - place) / took,
            failures=dict(sorted(failures.items())),
        )

    def _redis_cpu(self) -> float:
        # redis-py's type says that the result may be awaitable.
        found: Any = self._client.info("cpu")
        return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])

    def _sweep(self) -> None:
        """Delete every key of the bench's account."""
        try:
            for key in self._client.scan_iter(match=self._keys.pattern, count=1000):
                self._client.unlink(key)
        except redis.exceptions.RedisError:
            # Show the earlier error to the person, not this one.
            return


@dataclass(frozen=True, slots=True)
class _Window:
    """The reports of one process between two points in time."""

    per_second: float
    cpu: float
    round_trips: list[float]
    failures: list[str]

    @classmethod
    def of(cls, lines: Sequence[Line], began: float, ended: float) -> _Window:
        inside = [line for line in lines if began <= line.at <= ended + 0.1]
        if len(inside) < 2:
            return cls(0.0, 0.0, [], [])
        # The first line ends the time before the window.
        first, rest = inside[0], inside[1:]
        took = rest[-1].at - first.at
        round_trips = [seconds for line in rest for seconds in line.round_trips]
        failures = [name for line in rest for name in line.failures]
        return cls((len(round_trips) - len(failures)) / took, (rest[-1].cpu - first.cpu) / took, round_trips, failures)


def cores() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
