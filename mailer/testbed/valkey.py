"""A private Valkey: a real server on its own port."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import redis

from mailer.host.port import LOOPBACK
from mailer.host.valkey import answers, binary
from mailer.testbed.process import DidNotStart, Process
from mailer.testbed.waiting import PATIENCE_SECONDS, free_port

_STARTS = 20


def durable(fsync: str = "always") -> tuple[str, ...]:
    """The options of a server that writes each change to a file, which a kill does not lose."""
    return ("--appendonly", "yes", "--appendfsync", fsync)


class Valkey(Process):
    """One server over ``folder``, without a password, on loopback and on ``host``. `stop` kills it. `start` keeps the
    port and, with `durable`, the data.
    """

    ends_with: ClassVar = signal.SIGKILL

    def __init__(
        self, folder: Path, *options: str, host: str = LOOPBACK, environment: Mapping[str, str] | None = None
    ) -> None:
        super().__init__([], folder / "valkey.log", environment)
        self._host = host
        self._options = (
            *("--bind", *dict.fromkeys((LOOPBACK, host)), "--protected-mode", "no", "--dir", str(folder)),
            *("--save", "", "--daemonize", "no", "--loglevel", "warning", *options),
        )
        self._has_run = False
        self.port = free_port()

    @property
    def url(self) -> str:
        """For clients on any host."""
        return f"redis://{self._host}:{self.port}/0"

    def client(self, **options: Any) -> redis.Redis:
        """A connection of this host, which retries where mailer does not."""
        client: redis.Redis = redis.Redis(host=LOOPBACK, port=self.port, **options)
        return client

    def start(self) -> None:
        """Start it, and return when it answers. Raises DidNotStart."""
        for _ in range(_STARTS):
            self.command = [binary(), "--port", str(self.port), *self._options]
            super().start()
            with self.client() as client:
                if answers(self.process, client, PATIENCE_SECONDS):
                    self._has_run = True
                    return
            self.stop()
            # Another process may have taken the port. Programs know the port of a server that has run.
            if not self._has_run:
                self.port = free_port()
        raise DidNotStart(f"no Valkey on port {self.port}. The last lines of its log:\n{self.log_tail()}")

    def cpu_seconds(self) -> float:
        try:
            # Accurate to the nanosecond. psutil has ticks of 10 ms, and a mail takes a three-hundredth of that.
            tasks = list(Path(f"/proc/{self.pid}/task").glob("*/schedstat"))
            return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9 if tasks else super().cpu_seconds()
        except OSError:
            return super().cpu_seconds()
