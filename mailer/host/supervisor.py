"""The supervisor of one host's worker processes: one process per core, started and stopped together."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from mailer.host import child
from mailer.worker import alive
from mailer.worker.environment import without_celery

BACKOFF_SECONDS = 1.0
BACKOFF_CAP_SECONDS = 30.0
HEALTHY_SECONDS = 60.0
"""A process that dies after this time restarts at once."""

ALONE = ("--without-gossip", "--without-mingle")
"""A worker's options. All shared state of workers is in Redis: messages between workers only cost round trips."""

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


@dataclass(slots=True)
class Member:
    """One of the processes. ``start_at`` is the time of its next start (monotonic seconds) while it does not run.
    ``alive`` is its sign of life (`mailer.worker.alive`). The supervisor removes it after a process that was asked to
    end.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] | None = None
    alive: Path | None = None
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float | None = 0.0
    backoff: float = BACKOFF_SECONDS


class Supervisor:
    """Keeps processes running until a signal stops it. Use it on the main thread.

    A process that dies restarts: at once if it ran for a minute, else after a wait that doubles up to 30 seconds. A
    process that ends with exit code 0 was asked to end (by Celery's remote ``shutdown``, or SIGTERM), and does not
    restart. When all have ended like this, `run` returns.

    It passes SIGTERM, SIGINT and SIGQUIT on once. SIGINT becomes SIGTERM, Celery's warm shutdown. A second SIGINT
    becomes SIGQUIT, its cold shutdown. After ``patience_seconds`` it kills the processes that still run. The leases of
    their messages then run out.
    """

    def __init__(
        self, members: Sequence[Member], *, patience_seconds: float, say: Callable[[str], object] | None = None
    ) -> None:
        self._members = members
        self._patience = patience_seconds
        self._say = say or _to_stderr
        self._signals: list[int] = []
        self._stop_by: float | None = None
        self._interrupted = False
        self._failed = False

    def run(self) -> int:
        """Run the processes. Returns the exit code: 0 if every process stopped in time and without an error."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        before = {number: signal.signal(number, self._note) for number in (*_STOP_SIGNALS, signal.SIGCHLD)}
        wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        try:
            while self._turn():
                ready, _, _ = select.select([reader], [], [], self._pause())
                if ready:
                    os.read(reader, 4096)
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(reader)
            os.close(writer)
            self._kill_rest()
        return 1 if self._failed else 0

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            self._signals.append(number)

    def _turn(self) -> bool:
        """Do the work that is due. Returns False when there is nothing left to wait for."""
        while self._signals:
            self._pass_on(self._signals.pop(0))
        for member in self._members:
            self._look_after(member)
        if self._stop_by is not None and time.monotonic() > self._stop_by:
            for member in self._running():
                self._failed = True
                self._say(
                    f"{member.name} (pid {member.process.pid}) did not stop in {self._patience:g} s and is killed; "  # type: ignore[union-attr]
                    "what it was sending is settled when its leases run out"
                )
            self._kill_rest()
        return any(member.process is not None or member.start_at is not None for member in self._members)

    def _pause(self) -> float | None:
        moments = [member.start_at for member in self._members if member.process is None and member.start_at]
        if self._stop_by is not None:
            moments.append(self._stop_by)
        return max(0.0, min(moments) - time.monotonic()) + 0.01 if moments else None

    def _look_after(self, member: Member) -> None:
        if member.process is not None:
            code = member.process.poll()
            if code is not None:
                member.process = None
                self._ended(member, code)
        elif member.start_at is not None and time.monotonic() >= member.start_at:
            member.start_at = None
            member.started_at = time.monotonic()
            try:
                member.process = child.start(member.command, env=member.environment)
            except OSError as error:  # no memory or no process left, or an upgrade is in progress: the others continue
                self._again(member, f"cannot be started ({error})")

    def _ended(self, member: Member, code: int) -> None:
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        if self._stop_by is not None:
            if code != 0:
                self._failed = True
                self._say(f"{member.name} {how}")
            return
        if code == 0:
            self._say(f"{member.name} was asked to stop and did; it is not started again")
            if member.alive is not None:
                member.alive.unlink(missing_ok=True)
            return
        self._again(member, how)

    def _again(self, member: Member, how: str) -> None:
        if time.monotonic() - member.started_at >= HEALTHY_SECONDS:
            member.backoff, wait = BACKOFF_SECONDS, 0.0
        else:
            wait = member.backoff
            member.backoff = min(BACKOFF_CAP_SECONDS, member.backoff * 2)
        member.start_at = time.monotonic() + wait
        self._say(f"{member.name} {how}: starting it again{f' in {wait:g} s' if wait else ''}")

    def _pass_on(self, number: int) -> None:
        passed = signal.SIGQUIT if number == signal.SIGQUIT else signal.SIGTERM
        if self._stop_by is None:
            self._stop_by = time.monotonic() + self._patience
            for member in self._members:
                member.start_at = None
            if self._running():
                self._say(f"Stopping: waiting up to {self._patience:g} s for what is being sent")
        elif number == signal.SIGINT and self._interrupted:
            passed = signal.SIGQUIT
        elif number != signal.SIGQUIT:
            self._interrupted = self._interrupted or number == signal.SIGINT
            return
        self._interrupted = self._interrupted or number == signal.SIGINT
        for member in self._running():
            member.process.send_signal(passed)  # type: ignore[union-attr]

    def _running(self) -> list[Member]:
        return [member for member in self._members if member.process is not None and member.process.poll() is None]

    def _kill_rest(self) -> None:
        for member in self._running():
            member.process.kill()  # type: ignore[union-attr]
            member.process.wait()  # type: ignore[union-attr]


def workers(
    processes: int,
    threads: int,
    lanes: Sequence[str],
    *,
    name: str | None,
    loglevel: str,
    alive_dir: Path | None = None,
) -> list[Member]:
    """Worker processes for ``lanes``, most urgent first. Each runs ``threads`` sends at the same time.

    Their names are ``mailer1-7f3a@host`` and so on, with the same four hex digits for the whole call. So another call
    on a host of the same name makes other names. A restarted process keeps its name. With ``name`` they are
    ``name1@host`` and so on.
    """
    nodes = f"{name}{{}}" if name is not None else f"mailer{{}}-{os.urandom(2).hex()}"
    environment = {**without_celery(os.environ), "CELERY_CUSTOM_WORKER_POOL": "mailer.worker.pool:TaskPool"}
    return [
        Member(
            node,
            [
                *(sys.executable, "-P", "-m", "mailer.worker", "--quiet", "worker", "-P", "custom"),
                *("-c", str(threads), "-Q", ",".join(lanes), "-n", f"{node}@%h", "--loglevel", loglevel),
                *ALONE,
            ],
            environment,
            alive_dir and alive.file_of(alive_dir, node),
        )
        for node in map(nodes.format, range(1, processes + 1))
    ]


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"mailer worker: {line}\n")
    sys.stderr.flush()
