"""The parts of the demo: an embedded Valkey, the simulator, worker processes and Flower, on separate ports."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from mailer.host.everything import simulated_aws
from mailer.host.foreman import procfile
from mailer.host.port import free_port, is_ours
from mailer.host.valkey import EmbeddedValkey
from mailer.operations.status import read_status
from mailer.queue.connection import connect
from mailer.simulator.client import Simulator
from mailer.testbed.environment import clean, settings_in
from mailer.testbed.process import Process, descendants, running, stop_all
from mailer.testbed.waiting import NotInTime, until
from mailer.testbed.workers import READY

FLOWER_PORT = 5555


class Stage:
    """All parts of the demo, in ``folder``. Nothing outlives the ``with`` block: `leftovers` checks that.

    None of them sees a person's own settings: the demo must not find a real account.
    """

    def __init__(
        self, folder: Path, *, rate: float, bucket: float, latency: str, processes: int, threads: int, flower: bool
    ) -> None:
        self.folder = folder
        self.log = folder / "demo.log"
        self.flower_url: str | None = None
        self._processes = processes
        self._threads = threads
        self._with_flower = flower and find_spec("flower") is not None
        self.simulator = Simulator(
            smtp=False, rate=rate, bucket=bucket, quota=50_000, latency=latency, keep=1_000, row_tag="mailer-id", seed=1
        )
        self._stack = ExitStack()
        self._started: list[Process] = []
        self._below: set[int] = set()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            valkey = stack.enter_context(EmbeddedValkey(self.folder, output=stack.enter_context(self.log.open("ab"))))
            stack.enter_context(self.simulator)
            self.settings = settings_in({}, redis_url=valkey.url, data_dir=self.folder)
            # Workers stop before Valkey, in which they settle their sends.
            stack.callback(stop_all, self._started)
            environment = self._environment(valkey.url)
            workers = ("worker", "--processes", str(self._processes), "--threads", str(self._threads))
            self._start([sys.executable, "-P", "-m", "mailer.cli", *workers], environment)
            if self._with_flower:
                self._start(["/bin/sh", "-c", f"exec {procfile()['flower']}"], environment)
            self._started[0].wait_for(READY, self._processes)
            # The limits come from SES, as everywhere. Before they are known, nothing may be sent.
            with connect(self.settings) as client:
                until(lambda: read_status(client, self.settings).state != "unknown", "SES says what it allows")
            if self._with_flower:
                port = int(environment["FLOWER_PORT"])
                until(lambda: is_ours(port), lambda: f"Flower answers\n{self._started[0].log_tail()}")
                self.flower_url = f"http://127.0.0.1:{port}"
            # The first to happen in the end, while all of it runs.
            stack.callback(self._note_what_runs)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def leftovers(self) -> list[int]:
        """The ids of processes that still run after the block."""
        with suppress(NotInTime):
            until(lambda: not running(self._below), "all ended", 2)
        return running(self._below)

    def _start(self, command: list[str], environment: dict[str, str]) -> None:
        self._started.append(Process(command, self.log, environment))
        self._started[-1].start()

    def _note_what_runs(self) -> None:
        self._below = descendants(os.getpid())

    def _environment(self, redis_url: str) -> dict[str, str]:
        scripts = str(Path(sys.executable).parent)
        return simulated_aws(
            self.simulator.url,
            clean(
                PATH=os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)]),
                PYTHONUNBUFFERED="1",
                MAILER_REDIS_URL=redis_url,
                MAILER_DATA_DIR=str(self.folder),
                FLOWER_PORT=str(free_port(FLOWER_PORT)),
            ),
        )
