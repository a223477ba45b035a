"""A process with a log. It ends with its block, and with this process."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Self

import psutil

from mailer.errors import MailerError
from mailer.host import child
from mailer.testbed.waiting import PATIENCE_SECONDS, until

STOP_SECONDS = 45.0
_LAST_LINES = 20

Start = Callable[..., child.Child]
"""`child.start`, or another function with the same arguments."""


class DidNotStart(MailerError):
    """A process did not start, or ended early. The text has the end of its log."""


class DidNotEnd(MailerError):
    """A process was told to end and still ran some time later. It is killed."""


class Process:
    """``command`` as a child process, whose output is appended to ``log``. A context manager."""

    ends_with: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        *,
        start: Start = child.start,
    ) -> None:
        self.command = list(command)
        self.log = log
        self._environment = environment
        self._start = start
        self._process: child.Child | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            with suppress(DidNotEnd):
                self.stop()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = self._start(self.command, env=self._environment, stdout=log, stderr=log)

    def stop(self, number: int | None = None, seconds: float = STOP_SECONDS) -> int:
        """Send the signal ``number`` and return the exit code. Raises DidNotEnd."""
        if not child.stop(self.process, seconds, self.ends_with if number is None else number):
            raise DidNotEnd(f"{self.log.stem} still ran {seconds:g} s after it was told to end")
        return self.process.wait()

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        self.process.send_signal(number)

    @property
    def process(self) -> child.Child:
        if self._process is None:
            raise DidNotStart(f"{self.log.stem} was not started")
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def check(self, what: str = "It ended") -> None:
        """Raise DidNotStart, with ``what`` and the end of the log, if the process does not run."""
        if not self.running:
            raise DidNotStart(f"{what}: {self.log.stem}. The last lines of its log:\n{self.log_tail()}")

    def wait_for(self, pattern: str, count: int = 1, seconds: float = 2 * PATIENCE_SECONDS) -> re.Match[str]:
        """The last of ``count`` lines with ``pattern`` in them, once they are in the log. Raises DidNotStart, and
        NotInTime.
        """

        def said() -> list[re.Match[str]]:
            # In this order: its last words may come just before its end.
            was_running = self.running
            found = [match for line in self.lines if (match := re.search(pattern, line))]
            if len(found) < count and not was_running:
                self.check(f"It ended before it said {pattern!r}")
            return found[count - 1 :]

        return until(said, lambda: f"{self.log.stem} says {pattern!r}\n{self.log_tail()}", seconds)[0]

    @property
    def text(self) -> str:
        """The whole log."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def log_tail(self) -> str:
        return "\n".join(self.lines[-_LAST_LINES:])

    # -- what it takes

    def cpu_seconds(self) -> float:
        """The user and system time so far, with that of its children."""
        return cpu_seconds(self.pid)

    def megabytes(self) -> float:
        """The resident memory, and of its children what they do not share."""
        process = psutil.Process(self.pid)
        of_children = sum(each.memory_full_info().uss for each in process.children(recursive=True))
        return float(process.memory_info().rss + of_children) / 1e6

    def open_files(self) -> int:
        return int(psutil.Process(self.pid).num_fds())


def cpu_seconds(pid: int) -> float:
    """The user and system time of a process so far, with that of its children."""
    process = psutil.Process(pid)
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))


def descendants(pid: int) -> set[int]:
    """The child processes of ``pid``, and their child processes."""
    try:
        return {each.pid for each in psutil.Process(pid).children(recursive=True)}
    except psutil.NoSuchProcess:
        return set()


def running(pids: Iterable[int]) -> list[int]:
    """Those of ``pids`` that run, in order. One that has ended and waits for its parent does not."""
    return sorted(pid for pid in pids if _runs(pid))


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def stop_all(processes: Sequence[Process]) -> None:
    """Stop them at the same time, and kill those that do not end."""
    for process in processes:
        if process.running:
            process.send_signal(process.ends_with)
    for process in processes:
        process.__exit__()


def unwind_on(*numbers: signal.Signals) -> None:
    """Let these signals raise SystemExit in the main thread. By default Python ends at once and leaves processes and
    folders behind."""

    def unwind(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    for number in numbers:
        signal.signal(number, unwind)
