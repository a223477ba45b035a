"""Child processes that end with the process that started them, however that one ends."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def end_with(parent: int) -> None:
    """To be called in the child: have the kernel send SIGTERM to it when ``parent`` is gone. Linux only."""
    if _libc is not None:
        # Until the command is executed the child has its parent's handlers, which would take note of the signal only.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)


def start(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start ``command`` in a session of its own, so that a Ctrl-C in the terminal reaches only us, who pass it on.

    It must be called on a thread that lives as long as the child is wanted: the kernel takes the end of the thread
    for the end of the parent.
    """
    return subprocess.Popen(  # noqa: S603 - the commands are ours
        list(command),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=partial(end_with, os.getpid()),  # noqa: PLW1509 - one prctl, no lock is taken
        **options,
    )


def stop(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """SIGTERM, and SIGKILL if it has not ended in time. Returns whether it ended by itself."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    return True
