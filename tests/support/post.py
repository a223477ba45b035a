"""Real worker processes, a real simulator, and mail between them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mailer.producer.producer import Producer
from mailer.queue.connection import connect
from mailer.queue.keys import Keys
from mailer.queue.queue import Queue
from mailer.settings import Settings, load
from mailer.simulator.client import Simulator
from ops import forked
from tests.support.account import Account
from tests.support.valkey import Valkey

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


def until(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """Poll until ``condition`` is true, and fail with ``what`` if it never is."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)
    return found


def environment(settings: Settings, simulator: Simulator | None = None, **more: str) -> dict[str, str]:
    """The environment of a process with these settings."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("MAILER_", "AWS_"))}
    for name, value in settings.model_dump(exclude_none=True).items():
        if name == "on_unknown":
            variables |= {f"MAILER_ON_UNKNOWN_{lane.upper()}": policy for lane, policy in value.items()}
        elif name == "lanes":
            variables["MAILER_LANES"] = ",".join(value)
        else:
            plain = value.get_secret_value() if hasattr(value, "get_secret_value") else value
            variables[f"MAILER_{name.upper()}"] = str(plain)
    variables |= {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "CELERY_CUSTOM_WORKER_POOL": "mailer.worker.pool:TaskPool",
    }
    if simulator is not None:
        variables["AWS_ENDPOINT_URL_SESV2"] = simulator.url
    return variables | more


def refusal_to_start(env: dict[str, str], *options: str) -> str:
    """The standard error of a ``celery -A mailer.worker worker`` that refuses to start."""
    command = [sys.executable, "-m", "celery", "-A", "mailer.worker", "worker", *options]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode != 0
    return ended.stderr


class WorkerProcess:
    """``celery -A mailer.worker worker``. A fork starts it quickly; with ``fork=False`` it starts as for a person."""

    def __init__(
        self, env: dict[str, str], log: Path, *options: str, app: str = "mailer.worker", fork: bool = True
    ) -> None:
        self.log = log
        pool = () if "-P" in options else ("-P", "custom")
        command = [
            *(sys.executable, "-m", "celery", "-A", app, "worker", "-l", "INFO", "-c", "8", *pool),
            *("--without-gossip", "--without-mingle", *options),
        ]
        with log.open("wb") as output:
            self.process = forked.start(command, env=env, output=output, fork=fork)

    def wait_until_ready(self) -> WorkerProcess:
        until(
            lambda: " ready." in self.text or self.process.poll() is not None, "the worker says that it is ready", 120
        )
        assert self.process.poll() is None, self.text
        return self

    @property
    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def stop(self, number: int = signal.SIGTERM, seconds: float = 60.0) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


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
        self._workers: list[WorkerProcess] = []

    def send(self, to: str, **fields: Any) -> str:
        return self.producer.send(to=to, **{"sender": SENDER, "subject": "Hello", "text": "Hello.", **fields})

    def worker(
        self, *options: str, wait: bool = True, app: str = "mailer.worker", fork: bool = True, **more: str
    ) -> WorkerProcess:
        log = self._folder / f"worker-{len(self._workers)}.log"
        worker = WorkerProcess(environment(self.settings, self.simulator, **more), log, *options, app=app, fork=fork)
        self._workers.append(worker)
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
        for worker in self._workers:
            if worker.process.poll() is None:
                worker.process.kill()
                worker.process.wait()
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
