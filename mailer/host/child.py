"""Child processes that end with their parent process, however the parent ends."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class Child(Protocol):
    """A running or ended process, such as a `subprocess.Popen`."""

    pid: int

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int, /) -> None: ...

    def kill(self) -> None: ...


def end_with(parent: int) -> None:
    """Call it in the child: the kernel then sends SIGTERM to the child when ``parent`` is gone. Linux only."""
    if _libc is not None:
        # Until exec the child has its parent's handlers, which would only record the signal.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)


def start(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start ``command`` in its own session. A Ctrl-C in the terminal then reaches only the parent, which passes it on.

    Call it on a thread that lives as long as the child: the kernel treats the end of the thread as the end of the
    parent.
    """
    return subprocess.Popen(  # noqa: S603 - this package gives the commands
        list(command),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=partial(end_with, os.getpid()),  # noqa: PLW1509 - one prctl, no lock is taken
        **options,
    )


def stop(process: Child, seconds: float, number: int = signal.SIGTERM) -> bool:
    """Send the signal ``number``, and SIGKILL if it does not end in time. Returns whether it ended by itself."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    return True
