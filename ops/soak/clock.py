"""A wrong wall clock for single processes. Their monotonic clock stays right."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from pathlib import Path

_SOURCE = Path(__file__).with_name("clock.c")


def lacking() -> str:
    """The reason why this machine cannot give a process a wrong clock; empty if it can."""
    if sys.platform != "linux":
        return "needs Linux, to preload a clock"
    return "" if shutil.which("cc") else "needs the command cc, to compile a clock"


def wrong_by(seconds: float, folder: Path) -> dict[str, str]:
    """The environment of a process whose wall clock is ``seconds`` ahead. ``folder`` keeps the library."""
    return {"LD_PRELOAD": str(_library(folder)), "CLOCK_AHEAD": f"{seconds:.0f}"}


class Clock:
    """A wall clock that can be put forward and back while its processes run. Later processes start with it too."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock.step"
        self._library = _library(folder)
        self.ahead = 0.0
        """The seconds by which it is ahead of this host's clock."""
        self._write()

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the processes that use this clock."""
        return {"LD_PRELOAD": str(self._library), "CLOCK_STEP": str(self._file)}

    def step(self, seconds: float) -> None:
        """Put the clock forward, or back for negative ``seconds``."""
        self.ahead += seconds
        self._write()

    def _write(self) -> None:
        micros = struct.pack("=q", round(self.ahead * 1e6))
        with self._file.open("r+b" if self._file.exists() else "w+b") as file:
            file.write(micros)


def _library(folder: Path) -> Path:
    library = folder / "clock.so"
    if not library.exists():
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE)], check=True)
    return library
