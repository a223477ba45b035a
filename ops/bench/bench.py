"""The base of every figure: a private Valkey, a folder, the settings of producer and workers, and the progress."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import redis
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from mailer.producer.producer import Producer
from mailer.queue.keys import Keys
from mailer.queue.queue import Queue
from mailer.settings import Settings
from mailer.testbed.environment import environment_of, settings_in
from mailer.testbed.valkey import Valkey
from mailer.testbed.waiting import until
from mailer.testbed.workers import Worker

ACCOUNT = "bench"
STAGED = "staged"
"""A lane that no worker serves. Messages are written there, and one rename makes it the lane ``bulk``."""

Item = TypeVar("Item")


@dataclass(slots=True)
class Bench:
    """One run of one figure."""

    folder: Path
    valkey: Valkey
    quick: bool
    pool: str
    """The workers' pool in the figures rate, urgent and roundtrips: one of `POOLS`."""
    progress: Progress

    def settings(self, **overrides: object) -> Settings:
        given = {
            "redis_url": self.valkey.url,
            "account": ACCOUNT,
            "quota_per_day": -1,
            "data_dir": self.folder / "data",
        }
        return settings_in({}, **{**given, **overrides})

    @property
    def keys(self) -> Keys:
        return Keys.of(self.settings())

    def environment(self, *, rate: float, sink: str = "http://127.0.0.1:9", **more: str) -> dict[str, str]:
        """The environment of a worker."""
        # boto3 reads only the second variable for the Region.
        return environment_of(self.settings(rate_per_second=rate), sink, AWS_DEFAULT_REGION="us-east-1", **more)

    @contextmanager
    def workers(
        self,
        environment: Mapping[str, str],
        *,
        count: int,
        concurrency: int,
        pool: str | None = None,
        app: str = "mailer.worker",
        queues: str = "transactional,bulk",
        first: int = 1,
    ) -> Iterator[list[Worker]]:
        """Real workers, numbered from ``first`` on. The queue must be empty. When the block begins, each worker waits
        on the queue."""
        options = ("-l", "WARNING", "-Q", queues, "-P", pool or self.pool, "-c", str(concurrency))
        with ExitStack() as stack, self.valkey.client() as client:
            started: list[Worker] = []
            blocked_before = _blocked(client)

            def idle() -> bool:
                """An idle worker, ours or stock, waits in one blocking pop."""
                for worker in started:
                    worker.check("A worker ended")
                return _blocked(client) - blocked_before >= len(started)

            # Start a few at a time, as interpreters compete for the processors during their imports.
            for number in range(first, first + count):
                log, node = self.folder / f"worker-{number}.log", ("-n", f"bench-{number}@localhost")
                started.append(stack.enter_context(Worker(log, environment, *options, *node, app=app)))
                if len(started) % 4 == 0 or len(started) == count:
                    until(idle, "workers wait on the queue", 60.0 + 2 * len(started))
                    # Another thread of the worker writes the limits at about this time.
                    time.sleep(0.3)
            yield started

    def producer(self) -> Producer:
        return Producer(Queue(self.valkey.client(), self.keys), ("transactional", STAGED, "bulk"))

    def release(self, client: redis.Redis) -> None:
        """Make the staged messages the bulk lane, and wake a worker."""
        keys = self.keys
        pipeline = client.pipeline(transaction=True)
        pipeline.rename(keys.lane(STAGED), keys.lane("bulk"))
        pipeline.lpush(keys.doorbell("bulk"), 1)
        pipeline.execute()

    def left(self, client: redis.Redis, *lanes: str) -> Callable[[], int]:
        """A function that counts the messages in these lanes, and those that workers hold."""
        keys = self.keys

        def left() -> int:
            pipeline = client.pipeline(transaction=True)
            for lane in lanes:
                pipeline.llen(keys.lane(lane))
            pipeline.hlen(keys.leased)
            return sum(pipeline.execute())

        return left

    @contextmanager
    def shown(self, what: str, total: float | None) -> Iterator[Callable[[float], None]]:
        """Show ``what`` during the block, which calls the function with how much is done."""
        task = self.progress.add_task(what, total=total)
        yield lambda done: self.progress.update(task, completed=done)
        self.progress.remove_task(task)

    def each(self, what: str, items: Sequence[Item]) -> Iterator[Item]:
        """The items, with the progress shown."""
        with self.shown(what, len(items)) as show:
            for number, item in enumerate(items, 1):
                yield item
                show(number)

    def wait(self, seconds: float, what: str, done: Callable[[], bool] | None = None) -> float:
        """Wait for ``seconds``, or until ``done`` returns true. Returns the seconds."""
        start = time.monotonic()
        with self.shown(what, seconds) as show:
            while (passed := time.monotonic() - start) < seconds and not (done is not None and done()):
                show(passed)
                time.sleep(min(0.25, seconds - passed))
        return time.monotonic() - start

    def drain(self, amount: int, left: Callable[[], int], what: str, *, limit: float = 300.0) -> float:
        """Wait until ``left`` returns 0. Returns the seconds, accurate to 10 ms."""
        start, shown = time.monotonic(), 0.0
        with self.shown(what, amount) as show:
            while (remaining := left()) > 0:
                now = time.monotonic()
                if now - start > limit:
                    raise TimeoutError(f"{what}: {remaining} of {amount} left after {limit:.0f} s")
                if now - shown > 0.5:
                    show(amount - remaining)
                    shown = now
                time.sleep(0.01)
            return time.monotonic() - start


@contextmanager
def bench(progress: Progress, *, quick: bool, pool: str) -> Iterator[Bench]:
    """A Valkey and a folder for one figure. Both are removed at the end."""
    temporary = tempfile.TemporaryDirectory(prefix="mailer-bench-", ignore_cleanup_errors=True)
    with temporary as folder, Valkey(Path(folder)) as valkey:
        yield Bench(Path(folder), valkey, quick, pool, progress)


def new_progress() -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), transient=True)


def _blocked(client: redis.Redis) -> int:
    return int(client.info("clients")["blocked_clients"])
