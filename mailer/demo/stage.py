"""The parts of the demo: an embedded Valkey, the simulator, worker processes and Flower, on separate ports."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from mailer.errors import MailerError
from mailer.host import child
from mailer.host.everything import simulated_aws
from mailer.host.foreman import procfile
from mailer.host.port import free_port, wait_for
from mailer.host.valkey import EmbeddedValkey
from mailer.operations.status import read_status
from mailer.queue.connection import connect
from mailer.settings import Settings, load
from mailer.simulator.client import Simulator

FLOWER_PORT = 5555

_START_SECONDS = 60.0
_STOP_SECONDS = 45.0
_OURS = ("MAILER_", "AWS_", "FLOWER_")


class StageError(MailerError):
    """A part of the demo did not start, or did not end."""


class Stage:
    """All parts of the demo, in ``folder``. Nothing outlives the ``with`` block: `leftovers` checks that.

    It first removes the product's settings from the environment: the demo must not find a real account.
    """

    def __init__(
        self, folder: Path, *, rate: float, bucket: float, latency: str, processes: int, threads: int, flower: bool
    ) -> None:
        for name in [name for name in os.environ if name.startswith(_OURS)]:
            del os.environ[name]
        self.folder = folder
        self.processes = processes
        self.threads = threads
        self.log = folder / "demo.log"
        self.flower_url: str | None = None
        self._with_flower = flower and find_spec("flower") is not None
        self._log: IO[bytes] = self.log.open("ab")
        self.valkey = EmbeddedValkey(folder, output=self._log)
        self.simulator = Simulator(
            smtp=False, rate=rate, bucket=bucket, quota=50_000, latency=latency, keep=1_000, row_tag="mailer-id", seed=1
        )
        self._started: list[subprocess.Popen[bytes]] = []
        self._pids: set[int] = set()

    @property
    def settings(self) -> Settings:
        return load(redis_url=self.valkey.url, data_dir=self.folder)

    def __enter__(self) -> Self:
        try:
            self.valkey.start()
            self.simulator.start()
            environment = self._environment()
            self._started.append(self._start_workers(environment))
            if self._with_flower:
                self._started.append(self._start_flower(environment))
            self._await_workers()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop everything. Workers stop first, because they settle their sends in Valkey."""
        self._pids |= descendants(os.getpid())
        for process in self._started:
            if process.poll() is None:
                process.terminate()
        for process in self._started:
            child.stop(process, _STOP_SECONDS)
        self.simulator.stop()
        self.valkey.stop()
        self._log.close()

    def leftovers(self) -> list[int]:
        """The ids of processes that still run after `close`."""
        deadline = time.monotonic() + 2
        while (left := sorted(pid for pid in self._pids if _is_running(pid))) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    def last_lines(self, count: int = 20) -> str:
        """The last lines of the parts' log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-count:])

    def _environment(self) -> dict[str, str]:
        scripts = str(Path(sys.executable).parent)
        return simulated_aws(
            self.simulator.url,
            {
                **os.environ,
                "PATH": os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)]),
                "PYTHONUNBUFFERED": "1",
                "MAILER_REDIS_URL": self.valkey.url,
                "MAILER_DATA_DIR": str(self.folder),
                "FLOWER_PORT": str(free_port(FLOWER_PORT)),
            },
        )

    def _start_workers(self, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        command = [
            *(sys.executable, "-P", "-m", "mailer.cli", "worker"),
            *("--processes", str(self.processes), "--threads", str(self.threads)),
        ]
        return child.start(command, env=environment, stdout=self._log, stderr=self._log)

    def _start_flower(self, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        self.flower_url = f"http://127.0.0.1:{environment['FLOWER_PORT']}"
        command = ["/bin/sh", "-c", f"exec {procfile()['flower']}"]
        return child.start(command, env=environment, stdout=self._log, stderr=self._log)

    def _await_workers(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while self.log.read_bytes().count(b" ready.\n") < self.processes:
            if time.monotonic() > deadline or self._started[0].poll() is not None:
                raise StageError(f"The workers did not start. The last lines of their log:\n{self.last_lines()}")
            time.sleep(0.1)
        # The limits come from SES, as everywhere. Before they are known, nothing may be sent.
        client = connect(self.settings)
        while read_status(client, self.settings).state == "unknown" and time.monotonic() < deadline:
            time.sleep(0.1)
        client.close()
        if self.flower_url and not wait_for(int(self.flower_url.rpartition(":")[2]), _START_SECONDS):
            raise StageError(f"Flower did not start. The last lines of the log:\n{self.last_lines()}")


def descendants(pid: int) -> set[int]:
    """The child processes of ``pid``, and their child processes. Empty if there is no /proc."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name in parentheses may contain anything. State and parent follow it.
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.parent.name)] = int(fields[1])
    found: set[int] = set()
    generation = {pid}
    while generation:
        generation = {one for one, parent in parents.items() if parent in generation}
        found |= generation
    return found


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
