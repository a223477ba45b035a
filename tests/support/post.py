"""Real worker processes, a real simulator, and mail between them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailer.host import child
from mailer.producer.producer import Producer
from mailer.queue.connection import connect
from mailer.queue.keys import Keys
from mailer.queue.queue import Queue
from mailer.settings import Settings, load
from mailer.simulator.client import Simulator
from mailer.testbed.environment import environment_of
from mailer.testbed.valkey import Valkey
from mailer.testbed.workers import LOOP_POOL, Worker
from ops import forked
from tests.support.account import Account

SENDER = "Shop <shop@example.com>"

DEADLY = "Deadly"
"""A mail with this subject ends its worker, in the application ``tests.support.deadly``."""
DEFECTIVE = "Defective"
"""With this subject the completion of a send breaks off there."""
OVERHEARD = "Overheard"
"""With this subject Celery's own code breaks off there, after the send."""
LOOP_BREAKING = "Loop-breaking"
"""With this subject the event loop itself breaks off there, once the send has begun."""
UNDELIVERABLE = "Undeliverable"
"""With this subject the delivery to Celery breaks off there. The error is of a kind that kombu treats as a lost
connection."""

# These times are so long that processes which stand still for some seconds change no outcome. A test that needs the end
# of a lease ends it itself.
PATIENT = {"connect_timeout_seconds": 8.0, "read_timeout_seconds": 10.0, "lease_seconds": 30.0}


def environment(settings: Settings, simulator: Simulator | None = None, **more: str) -> dict[str, str]:
    """The environment of a worker with these settings."""
    return environment_of(settings, simulator.url if simulator else None, **{**LOOP_POOL, **more})


def refusal_to_start(env: dict[str, str], *options: str) -> str:
    """The standard error of a ``celery -A mailer.worker worker`` that refuses to start."""
    command = [sys.executable, "-m", "celery", "-A", "mailer.worker", "worker", *options]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode != 0
    return ended.stderr


class Post:
    """One account with its queue and its simulator. It starts workers for the account."""

    def __init__(self, settings: Settings, simulator: Simulator, folder: Path) -> None:
        self.settings = settings
        self.simulator = simulator
        self.client = connect(settings)
        self.keys = Keys.of(settings)
        self.queue = Queue(self.client, self.keys)
        self.producer = Producer(self.queue, settings.lanes)
        self._folder = folder
        self.workers: list[Worker] = []

    def send(self, to: str, **fields: Any) -> str:
        return self.producer.send(to=to, **{"sender": SENDER, "subject": "Hello", "text": "Hello.", **fields})

    def worker(
        self, *options: str, wait: bool = True, app: str = "mailer.worker", fork: bool = True, **more: str
    ) -> Worker:
        """Start a worker: quickly with a fork, or as for a person."""
        log, env = self._folder / f"worker-{len(self.workers)}.log", environment(self.settings, self.simulator, **more)
        worker = Worker(log, env, *options, app=app, start=forked.start if fork else child.start)
        worker.start()
        self.workers.append(worker)
        return worker.wait_until_ready() if wait else worker

    def arrivals(self, recipient: str = "") -> list[str]:
        """The recipients of all accepted mails, once for each mail, oldest first."""
        return [row.recipient for row in self.simulator.rows() if recipient in ("", row.recipient)]

    def aside(self, shelf: str) -> dict[str, bytes]:
        found: dict[bytes, bytes] = self.client.hgetall(self.keys.aside(shelf))  # type: ignore[assignment]
        return {key.decode(): value for key, value in found.items()}

    def lose(self, message_id: str) -> None:
        """End all leases of the worker that holds this message, as if it were dead."""
        leased: dict[bytes, bytes] = self.client.hgetall(self.keys.leased)  # type: ignore[assignment]
        owners = {_owner(tag) for tag, stored in leased.items() if message_id.encode() in stored}
        for tag in leased:
            if _owner(tag) in owners:
                self.client.zadd(self.keys.leases, {tag: 0}, xx=True)

    def lose_all(self) -> None:
        """End every lease, as if all workers were dead."""
        Account(self.settings).end_leases()

    def idle(self) -> bool:
        """Whether no message is queued or leased."""
        lengths = [self.client.llen(self.keys.lane(lane)) for lane in self.settings.lanes]
        return not any(lengths) and not self.client.zcard(self.keys.leases)

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
        self.producer.close()


def _owner(tag: bytes) -> bytes:
    return tag.partition(b":")[0]


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(rate=10_000, quota=-1, control_rate=0, latency="5ms") as running:
        yield running


@pytest.fixture
def post(settings: Settings, simulator: Simulator, tmp_path: Path) -> Iterator[Post]:
    """A separate account for the test. ``post.worker()`` starts workers."""
    simulator.reset()
    opened = Post(settings.model_copy(update=PATIENT), simulator, tmp_path)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def shared(
    valkey: Valkey, simulator: Simulator, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Post]:
    """An account with a running worker, for tests that leave it unchanged."""
    folder = tmp_path_factory.mktemp("shared")
    # The folder's name differs for each module, so that no two modules share an account.
    settings = load(
        redis_url=valkey.url,
        account=folder.name,
        rate_per_second=2000,
        quota_per_day=-1,
        **{"data_dir": folder, "retry_hours": 5 / 3600, **PATIENT},
    )
    opened = Post(settings, simulator, folder)
    opened.worker("-E", "-P", getattr(request, "param", "custom"))
    yield opened
    opened.close()
