"""The stage of one trial: an account in a private Valkey, a simulator, and workers."""

from __future__ import annotations

import random
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from mailer.producer.producer import Producer
from mailer.queue.keys import Keys
from mailer.settings import Settings
from mailer.simulator.client import Simulator
from mailer.testbed import waiting
from mailer.testbed.environment import clean, environment_of, settings_in
from mailer.testbed.ledger import Places, look
from mailer.testbed.ses import simulated_ses
from mailer.testbed.valkey import Valkey, durable
from mailer.testbed.workers import Worker
from ops import forked
from ops.soak import clock
from ops.soak.network import Network
from ops.soak.proxy import Proxy
from ops.soak.standstill import Watch
from ops.soak.watched import NAME, Watched

# Short enough that a trial can wait for the end of leases, and long enough for a busy machine.
QUICK: dict[str, Any] = {
    "connect_timeout_seconds": 1.0,
    "read_timeout_seconds": 2.0,
    "lease_seconds": 5.0,
    "redis_timeout_seconds": 2.0,
}
RETRIES: dict[str, Any] = {"retry_hours": 60 / 3600}
# Longer than any answer of the simulator, shorter than a lease.
_SETTLED_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Set:
    """The set-up of a stage. ``settings`` are mailer's settings by name."""

    rate: float = 300
    workers: int = 4
    concurrency: int = 8
    pool: str = "custom"
    fsync: str = "always"
    latency: str = "uniform:5ms-60ms"
    host: str = "127.0.0.1"
    """The address on which Valkey and the simulator listen."""
    hosts: int = 0
    """The number of network namespaces for the workers. 0: the workers run on Valkey's host."""
    clocks: Sequence[float] = ()
    """For each host, the seconds by which its wall clock is ahead, on machines that support it."""
    proxied: bool = False
    """Whether workers reach Valkey through a proxy whose connections can go half open."""
    environment: Callable[[Path], Mapping[str, str]] = lambda _: {}
    """Further variables for the workers' environment, made from the folder of the trial."""
    settings: dict[str, Any] = field(default_factory=dict)
    simulator: dict[str, Any] = field(default_factory=dict)
    valkey: Sequence[str] = ()
    """Options of Valkey."""
    replicas: int = 0
    """The number of Valkey's replicas. Three sentinels watch them."""
    steps: bool = False
    """Whether Valkey's clock can be put back and forward."""


@dataclass
class Stage:
    """All parts that a fault can break."""

    wanted: Set
    folder: Path
    valkey: Valkey
    simulator: Simulator
    watched: Watched | None
    proxy: Proxy | None
    network: Network | None
    valkey_clock: clock.Clock | None
    workers: list[Worker] = field(default_factory=list)
    orphans: set[object] = field(default_factory=set)
    """The tags of the leases that killed workers may have held. At most so many messages may arrive twice."""
    _started: int = 0

    def __post_init__(self) -> None:
        wanted, watched, here = self.wanted, self.watched, "redis://127.0.0.1"
        proxied = f"{here}:{self.proxy.port}/0" if self.proxy else None
        self._chosen: dict[str, Any] = {
            "redis_url": proxied or (watched or self.valkey).url,
            "account": "soak",
            "rate_per_second": wanted.rate,
            "quota_per_day": -1,
            **QUICK,
            **RETRIES,
            **({"redis_sentinel_master": NAME} if wanted.replicas else {}),
            **wanted.settings,
        }
        # The workers may use another address.
        local_url = watched.url if watched else f"{here}:{self.valkey.port}/0"
        self.settings: Settings = settings_in({}, **{**self._chosen, "redis_url": local_url})
        self.keys = Keys.of(self.settings)
        # A worker may give up on an answer that comes later than this.
        self.watch = Watch(self.simulator.url, 0.8 * self.settings.read_timeout_seconds)
        self._environment = wanted.environment(self.folder)

    def producer(self) -> Producer:
        """A new producer with its own connection."""
        return Producer.of(self.settings)

    def client(self) -> redis.Redis:
        """The verifier's own connection. It retries where mailer does not."""
        return (self.watched.master if self.watched else self.valkey).client()

    def look(self) -> Places:
        with self.client() as client:
            return look(client, self.keys, self.settings.lanes)

    # -- workers

    def start_worker(
        self, *, wait: bool = True, environment: Mapping[str, str] | None = None, **settings: Any
    ) -> Worker:
        """Start a worker. ``environment`` and ``settings`` override those of the stage for this worker."""
        self._started += 1
        host = self._started % (self.wanted.hosts or 1)
        inside = self.network.inside(host) if self.network else ()
        variables = environment_of(settings_in({}, **{**self._chosen, **settings}), self.simulator.url)
        if self.wanted.clocks and not clock.lacking():
            variables |= clock.wrong_by(self.wanted.clocks[host], self.folder)
        worker = Worker(
            self.folder / f"soak-{self._started}.log",
            {**variables, **self._environment, **(environment or {})},
            *("-P", self.wanted.pool, "-c", str(self.wanted.concurrency), "-n", f"soak-{self._started}@localhost"),
            inside=inside,
            start=forked.start,
        )
        worker.start()
        self.workers.append(worker)
        return worker.wait_until_ready() if wait else worker

    def start_workers(self, count: int | None = None) -> None:
        started = [self.start_worker(wait=False) for _ in range(self.wanted.workers if count is None else count)]
        for worker in started:
            worker.wait_until_ready()

    def kill_worker(self, worker: Worker) -> None:
        """Send a SIGKILL, and count the worker's leases, which nobody will settle."""
        worker.kill()
        self.workers.remove(worker)
        self.count_in_flight()

    def count_in_flight(self) -> None:
        """Count the leases that no worker will settle."""
        with self.client() as client:
            before = client.hkeys(self.keys.leased)
            time.sleep(_SETTLED_SECONDS)
            left = set(before).intersection(client.hkeys(self.keys.leased))
        self.orphans |= left

    def stop_worker(self, worker: Worker, number: signal.Signals = signal.SIGTERM, seconds: float = 30.0) -> float:
        """Signal the worker to stop and wait for its end. Returns the seconds. Raises DidNotEnd."""
        start = time.monotonic()
        worker.stop(number, seconds)
        self.workers.remove(worker)
        return time.monotonic() - start

    def until(self, condition: Callable[[], Any], what: str, seconds: float = 60.0) -> float:
        """Poll until ``condition`` is true. Returns the seconds. Raises NotInTime."""
        start = time.monotonic()
        logs = (worker.log_tail() for worker in self.workers[-1:])
        waiting.until(condition, lambda: "\n".join([what, *logs]), seconds, 0.05)
        return time.monotonic() - start

    def until_no_mail(self, seconds: float) -> None:
        """Wait until SES has accepted nothing for ``seconds``."""
        last, since = self.sent(), time.monotonic()
        while time.monotonic() - since < seconds:
            time.sleep(0.05)
            if (sent := self.sent()) != last:
                last, since = sent, time.monotonic()

    def sent(self) -> int:
        """The number of recipients that SES has accepted."""
        return int(self.simulator.stats()["recipients"])

    def throttled(self) -> int:
        """The number of calls that SES refused for their rate."""
        return int(self.simulator.stats()["refused"].get("rate", 0))

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()


@contextmanager
def stage(wanted: Set, seed: int) -> Iterator[Stage]:
    """Set a stage up, and clear it away at the end in any case."""
    with ExitStack() as stack:
        network = stack.enter_context(Network(wanted.hosts)) if wanted.hosts else None
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        valkey_clock = clock.Clock(folder) if wanted.steps else None
        watched = None
        if wanted.replicas:
            watched = Watched(folder, replicas=wanted.replicas, fsync=wanted.fsync, options=wanted.valkey)
            valkey = stack.enter_context(watched).servers[0]
        else:
            environment = clean(**valkey_clock.environment) if valkey_clock else None
            started = Valkey(folder, *durable(wanted.fsync), *wanted.valkey, host=wanted.host, environment=environment)
            valkey = stack.enter_context(started)
        flags = {
            "host": wanted.host,
            "allow_remote": wanted.host != "127.0.0.1",
            "latency": wanted.latency,
            "keep": 100,
            "row_tag": "mailer-id",
            "seed": random.Random(seed).randrange(2**31),
        }
        simulator = stack.enter_context(simulated_ses(wanted.rate, **{**flags, **wanted.simulator}))
        proxy = stack.enter_context(Proxy(valkey.port)) if wanted.proxied else None
        found = Stage(wanted, folder, valkey, simulator, watched, proxy, network, valkey_clock)
        stack.callback(found.close)
        stack.enter_context(found.watch)
        yield found
