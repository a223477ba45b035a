"""One measurement: a number of worker processes and threads process a backlog for some seconds."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from mailer.bench.place import UNLIMITED, Place
from mailer.bench.reports import FOLDER, Line, read
from mailer.errors import MailerError
from mailer.host import child
from mailer.host.supervisor import workers
from mailer.producer.producer import Producer
from mailer.queue.connection import connect, redis_url
from mailer.queue.keys import Keys
from mailer.queue.queue import ring
from mailer.settings import Settings

LANE = "bulk"

_START_SECONDS = 60.0
_STOP_SECONDS = 45.0
_SETTLE_SECONDS = 0.5
_TURN_SECONDS = 0.05
_MOST_BACKLOG = 100_000
_HTML = "<p>Hello {{ name }}, this is a mail of usual size.</p>\n" * 20


class StageError(MailerError):
    """The workers did not start, or sent nothing."""


@dataclass(frozen=True, slots=True)
class RoundTrips:
    """Seconds from making a request to its answer."""

    half: float
    nine_in_ten: float
    ninety_nine: float
    longest: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> RoundTrips:
        found = sorted(seconds)

        def within(share: float) -> float:
            return found[min(len(found) - 1, int(share * len(found)))]

        return cls(within(0.5), within(0.9), within(0.99), found[-1])


@dataclass(frozen=True, slots=True)
class Measured:
    """The results of one stage."""

    processes: int
    threads: int
    per_second: float
    round_trips: RoundTrips
    worker_cpu: float
    """Processor seconds per second of all worker processes together."""
    redis_cpu: float
    """Processor seconds per second of the Redis server, including its other users."""
    busy: float | None
    """Share of this machine's processors in use by anything. None if the system does not report it."""
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

    ``folder`` is for logs and reports.
    """

    def __init__(self, settings: Settings, place: Place, folder: Path, seconds: float) -> None:
        self._settings = settings
        self._place = place
        self._folder = folder
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
        StageError.
        """
        self._sweep()
        reports = self._folder / "reports"
        shutil.rmtree(reports, ignore_errors=True)
        reports.mkdir()
        # Nobody sends until the whole backlog is enqueued.
        self._client.hset(self._keys.account, "paused", "the bench begins soon")
        say("starting")
        started = self._start(processes, threads, reports)
        try:
            say("enqueueing")
            reached = min(expected, 1.2 * (self._place.allowed or UNLIMITED))
            backlog = int(reached * (self._seconds + 2 * _SETTLE_SECONDS)) + 4 * threads * processes
            self._enqueue(min(_MOST_BACKLOG, backlog))
            self._await_ready(started, processes)
            self._client.hdel(self._keys.account, "paused")
            ring(self._client, [self._keys.doorbell(lane) for lane in self._settings.lanes])
            say("measuring")
            return self._window(processes, threads, reports, started)
        finally:
            for process in started:
                if process.poll() is None:
                    process.terminate()
            for process in started:
                child.stop(process, _STOP_SECONDS)
            self._sweep()

    def _start(self, processes: int, threads: int, reports: Path) -> list[subprocess.Popen[bytes]]:
        rate = self._place.allowed or UNLIMITED
        settings = self._settings
        environment = {
            **self._place.environment(os.environ),
            "MAILER_REDIS_URL": redis_url(settings),
            "MAILER_ACCOUNT": settings.account,
            "MAILER_RATE_PER_SECOND": repr(rate),
            "MAILER_QUOTA_PER_DAY": "-1",
            "CELERY_CUSTOM_WORKER_POOL": "mailer.bench.pool:MeasuringPool",
            FOLDER: str(reports),
        }
        with self._log.open("wb") as log:
            return [
                child.start(member.command, env=environment, stdout=log, stderr=log, cwd=Path.cwd())
                for member in workers(processes, threads, [LANE], name="bench", loglevel="warning")
            ]

    @property
    def _log(self) -> Path:
        return self._folder / "workers.log"

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

    def _await_ready(self, started: list[subprocess.Popen[bytes]], processes: int) -> None:
        """Wait until each process has written its first report: its event loop runs then."""
        deadline = time.monotonic() + _START_SECONDS
        while sum(bool(lines) for lines in read(self._folder / "reports")) < processes:
            self._check(started, deadline, "The workers did not start")
            time.sleep(_TURN_SECONDS)

    def _check(self, started: list[subprocess.Popen[bytes]], deadline: float, what: str) -> None:
        if time.monotonic() > deadline or any(process.poll() is not None for process in started):
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
            raise StageError("\n".join([f"{what}. The last lines of their log:", *lines[-20:]]))

    def _window(self, processes: int, threads: int, reports: Path, started: list[subprocess.Popen[bytes]]) -> Measured:
        deadline = time.monotonic() + _START_SECONDS
        while not any(line.round_trips for lines in read(reports) for line in lines):
            self._check(started, deadline, "Nothing was sent")
            time.sleep(_TURN_SECONDS)
        time.sleep(_SETTLE_SECONDS)
        machine, server, place = _machine(), self._redis_cpu(), self._place.cpu_seconds()
        began = time.time()
        while time.time() < began + self._seconds and self._client.llen(self._keys.lane(LANE)):
            self._check(started, deadline + self._seconds, "The workers stopped")
            time.sleep(_TURN_SECONDS)
        server, took = self._redis_cpu() - server, time.time() - began
        place_ended = self._place.cpu_seconds()
        busy = None if machine is None else _share(machine, _machine())
        # The line that ends the window of each process is on its way.
        time.sleep(3 * _TURN_SECONDS)
        found = [_Window.of(lines, began, began + took) for lines in read(reports)]
        round_trips = [seconds for window in found for seconds in window.round_trips]
        if not round_trips:
            raise StageError("Nothing was sent while it was measured: give it more --seconds")
        failures = [name for window in found for name in window.failures]
        return Measured(
            processes=processes,
            threads=threads,
            per_second=sum(window.per_second for window in found),
            round_trips=RoundTrips.of(round_trips),
            worker_cpu=sum(window.cpu for window in found),
            redis_cpu=server / took,
            busy=busy,
            place_cpu=None if place is None or place_ended is None else (place_ended - place) / took,
            failures={name: failures.count(name) for name in sorted(set(failures))},
        )

    def _redis_cpu(self) -> float:
        # redis-py's type says that the result may be awaitable.
        found: Any = self._client.info("cpu")
        return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])

    def _sweep(self) -> None:
        """Delete every key of the bench's account."""
        try:
            for batch in _batches(self._client.scan_iter(match=self._keys.pattern, count=1000)):
                self._client.unlink(*batch)
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


def _machine() -> tuple[float, float] | None:
    """Idle time and total time of the processors so far, in the system's ticks."""
    try:
        fields = [float(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except OSError:
        return None
    return fields[3] + fields[4], sum(fields)


def _share(before: tuple[float, float], after: tuple[float, float] | None) -> float | None:
    if after is None or after[1] <= before[1]:
        return None
    return 1 - (after[0] - before[0]) / (after[1] - before[1])


def _batches(keys: Any) -> Any:
    batch: list[bytes] = []
    for key in keys:
        batch.append(key)
        if len(batch) == 500:
            yield batch
            batch = []
    if batch:
        yield batch


def cores() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
