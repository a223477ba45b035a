"""The base of every figure: a private Valkey, a folder, the settings of producer and workers, and the progress."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from mailer.producer.producer import Producer
from mailer.queue.keys import Keys
from mailer.queue.queue import Queue
from mailer.settings import Settings, load
from ops.bench.processes import Valkey, Worker, clean_environment, workers

ACCOUNT = "bench"
STAGED = "staged"
"""A lane that no worker serves. Messages are written there, and one rename makes it the lane ``bulk``."""

UNLIMITED = 1_000_000
"""A rate that no figure reaches."""


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
        return load(**{**given, **overrides})

    @property
    def keys(self) -> Keys:
        return Keys.of(self.settings())

    def environment(self, *, rate: float, sink: str = "http://127.0.0.1:9", **more: str) -> dict[str, str]:
        """The environment of a worker."""
        return {
            "MAILER_REDIS_URL": self.valkey.url,
            "MAILER_ACCOUNT": ACCOUNT,
            "MAILER_RATE_PER_SECOND": repr(float(rate)),
            "MAILER_QUOTA_PER_DAY": "-1",
            "MAILER_DATA_DIR": str(self.folder / "data"),
            "AWS_ENDPOINT_URL_SESV2": sink,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",  # the only one of the two that boto3 reads
            "AWS_ACCESS_KEY_ID": "AKIDBENCH",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_EC2_METADATA_DISABLED": "true",
            **more,
        }

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
    ) -> AbstractContextManager[list[Worker]]:
        return workers(
            self.valkey,
            self.folder,
            environment,
            count=count,
            concurrency=concurrency,
            pool=pool or self.pool,
            app=app,
            queues=queues,
            first=first,
        )

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

    def wait(self, seconds: float, what: str, done: Callable[[], bool] | None = None) -> float:
        """Wait for ``seconds``, or until ``done`` returns true. Returns the seconds."""
        task = self.progress.add_task(what, total=seconds)
        start = time.monotonic()
        while (passed := time.monotonic() - start) < seconds and not (done is not None and done()):
            self.progress.update(task, completed=passed)
            time.sleep(min(0.25, seconds - passed))
        self.progress.remove_task(task)
        return time.monotonic() - start

    def drain(self, amount: int, left: Callable[[], int], what: str, *, limit: float = 300.0) -> float:
        """Wait until ``left`` returns 0. Returns the seconds, accurate to 10 ms."""
        task = self.progress.add_task(what, total=amount)
        start = time.monotonic()
        shown = 0.0
        while (remaining := left()) > 0:
            now = time.monotonic()
            if now - start > limit:
                raise TimeoutError(f"{what}: {remaining} of {amount} left after {limit:.0f} s")
            if now - shown > 0.5:
                self.progress.update(task, completed=amount - remaining)
                shown = now
            time.sleep(0.01)
        took = time.monotonic() - start
        self.progress.remove_task(task)
        return took


@contextmanager
def bench(progress: Progress, *, quick: bool, pool: str) -> Iterator[Bench]:
    """A Valkey and a folder for one figure. Both are removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="mailer-bench-"))
    try:
        with Valkey(folder) as valkey:
            yield Bench(folder, valkey, quick, pool, progress)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def new_progress() -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), transient=True)


__all__ = ["ACCOUNT", "STAGED", "Bench", "bench", "clean_environment", "new_progress"]
