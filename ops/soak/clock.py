"""A process's own idea of the time: a wall clock that is wrong, beside a monotonic one that is not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

_SOURCE = Path(__file__).with_name("clock.c")


def lacking() -> str:
    """Why no process can be given a wrong clock here; empty if one can."""
    if sys.platform != "linux":
        return "needs Linux, to preload a clock"
    return "" if shutil.which("cc") else "needs the command cc, to compile a clock"


def wrong_by(seconds: float, folder: Path) -> dict[str, str]:
    """The environment of a process whose wall clock is so far ahead. ``folder`` is where the library is kept."""
    library = folder / "clock.so"
    if not library.exists():
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE)], check=True)
    return {"LD_PRELOAD": str(library), "CLOCK_AHEAD": f"{seconds:.0f}"}
