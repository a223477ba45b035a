"""Long-running commands in tests: started, listened to, and ended whatever happens."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mailer.demo.stage import descendants


class Running:
    """A process whose lines are read as they come."""

    def __init__(self, arguments: list[str], env: Mapping[str, str] | None, cwd: Path | None) -> None:
        self.process = subprocess.Popen(
            arguments,
            env=env,
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def wait_for(self, pattern: str, count: int = 1, seconds: float = 120) -> re.Match[str]:
        """The last of ``count`` lines with ``pattern`` in them, once they are there."""
        deadline = time.monotonic() + seconds
        while len(found := [match for line in list(self.lines) if (match := re.search(pattern, line))]) < count:
            waiting = time.monotonic() < deadline and (self.process.poll() is None or self._reader.is_alive())
            assert waiting, f"no {pattern!r} in:\n" + "\n".join(self.lines)
            time.sleep(0.02)
        return found[count - 1]

    def children(self, count: int) -> set[int]:
        """The processes below it, once there are so many."""
        deadline = time.monotonic() + 60
        while len(found := descendants(self.process.pid)) < count:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return found

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 60) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(seconds)
        self._reader.join(30)
        return code


@contextmanager
def running(arguments: list[str], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Iterator[Running]:
    started = Running(arguments, env, cwd)
    try:
        yield started
    finally:
        for pid in {started.process.pid, *descendants(started.process.pid)}:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        started.process.wait()


def eventually(is_so: Callable[[], bool], seconds: float = 60) -> None:
    """Fails if it is not so within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def gone(pids: Collection[int], seconds: float = 60) -> bool:
    """Whether these processes end within ``seconds``."""
    deadline = time.monotonic() + seconds
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
