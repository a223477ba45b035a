"""Long-running commands in tests: started, listened to, and ended whatever happens."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import psutil

from mailer.host import child
from mailer.testbed.process import Process, descendants
from mailer.testbed.waiting import NotInTime, until


class Running(Process):
    """A command, and the processes below it."""

    def children(self, count: int) -> set[int]:
        """The processes below it, once there are so many."""
        until(lambda: len(descendants(self.pid)) >= count, f"{count} processes run below it")
        return descendants(self.pid)


@contextmanager
def running(arguments: list[str], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Iterator[Running]:
    with tempfile.TemporaryDirectory(prefix="running-") as folder:
        started = Running(arguments, Path(folder) / "its.log", env, start=partial(child.start, cwd=cwd))
        started.start()
        try:
            yield started
        finally:
            for pid in {started.pid, *descendants(started.pid)}:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            started.process.wait()


def gone(pids: Collection[int], seconds: float = 60) -> bool:
    """Whether these processes end within ``seconds``."""
    with suppress(NotInTime):
        until(lambda: not any(map(psutil.pid_exists, pids)), "all are gone", seconds)
        return True
    return False
