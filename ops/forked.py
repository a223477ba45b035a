"""Celery's workers started in milliseconds: forked from a process that has imported all they need.

They are processes as any other, with a pid, signals and an exit code. They differ in this: ``/proc/PID/cmdline`` and
``environ`` are those of the process they were forked from.
"""

from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import BinaryIO

from mailer.host import child

MODULES = (
    *("celery.bin.celery", "celery.app.control", "celery.app.log", "celery.apps.worker", "celery.events.state"),
    *("celery.worker.autoscale", "celery.worker.strategy", "kombu.pidbox"),
    *("celery.concurrency.prefork", "celery.concurrency.solo", "celery.concurrency.thread"),
    *("mailer.worker.app", "mailer.worker.amqp", "mailer.worker.consumer"),
    *("mailer.worker.pool", "mailer.worker.request"),
)
# Nothing reads these at its import. All else must be for a fork as it is for the process that has imported everything.
_FREE = ("MAILER_", "AWS_", "PYTEST_")
_CUSTOM_POOL = "mailer.worker.pool:TaskPool"
_FOLDER = Path(__file__).parents[1]


def _fixed(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(_FREE)}


_IMPORTED_WITH = {**_fixed(os.environ), "CELERY_CUSTOM_WORKER_POOL": _CUSTOM_POOL}


class Forked:
    """A process that `start` has forked, with the interface of `subprocess.Popen`."""

    def __init__(self, zygote: _Zygote, pid: int) -> None:
        self._zygote = zygote
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._zygote.ended(self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"the process {self.pid}", timeout or 0)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            # It may have ended just so.
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(SIGTERM)

    def kill(self) -> None:
        self.send_signal(SIGKILL)


class _Zygote:
    """Forks on demand. It ends with this process, and what it forked with it."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ops.zygote", str(theirs.fileno()), *MODULES],
                env=_IMPORTED_WITH,
                cwd=_FOLDER,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # Ctrl-C is for this process, which then ends its workers in order.
                start_new_session=True,
            )
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._codes: dict[int, int] = {}
        atexit.register(self._end)

    def fork(
        self, module: str, arguments: Sequence[str], environment: Mapping[str, str], outputs: Sequence[BinaryIO]
    ) -> Forked:
        wanted = {"module": module, "arguments": list(arguments), "environment": dict(environment)}
        with self._lock:
            socket.send_fds(self._control, [json.dumps(wanted).encode()], [output.fileno() for output in outputs])
            while (pid := self._hear()) is None:
                pass
        return Forked(self, pid)

    def ended(self, pid: int) -> int | None:
        """The exit code of what ended; None for what runs."""
        with self._lock, suppress(BlockingIOError):
            while pid not in self._codes:
                self._hear(socket.MSG_DONTWAIT)
        return self._codes.pop(pid, None)

    def _hear(self, flags: int = 0) -> int | None:
        """The pid of what was forked; None where something has ended."""
        said = self._control.recv(4096, flags)
        if not said:
            raise RuntimeError("the process that forks workers has ended; its last words are above")
        pid, status = json.loads(said)
        if status is None:
            return int(pid)
        self._codes[pid] = os.waitstatus_to_exitcode(status)
        return None

    def _end(self) -> None:
        # Forks of this process have the socket too, and end as well.
        if os.getpid() == self._owner:
            self._control.close()
            self._process.wait()


_zygote = cache(_Zygote)


def start(command: Sequence[str], *, env: Mapping[str, str], stdout: BinaryIO, stderr: BinaryIO) -> child.Child:
    """As `child.start`, but forked where that makes no difference to the command."""
    if forkable(command, env):
        return _zygote().fork(command[2], command[3:], env, (stdout, stderr))
    return child.start(command, env=env, stdout=stdout, stderr=stderr)


def forkable(command: Sequence[str], env: Mapping[str, str]) -> bool:
    """Whether it is a worker of Celery's that finds all as the zygote found it when it imported."""
    is_worker = list(command[:3]) == [sys.executable, "-m", "celery"] and "worker" in command
    # These pools replace parts of Python before anything else is imported.
    is_patched = {"gevent", "eventlet"} & set(command)
    is_same = _fixed(env) == _IMPORTED_WITH and Path.cwd() == _FOLDER
    return sys.platform == "linux" and is_worker and not is_patched and is_same
