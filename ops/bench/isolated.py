"""Environments for programs that are not part of mailer. They are made at run time and kept in ``build/``."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CACHE = Path(__file__).parents[2] / "build" / "bench"


class Missing(Exception):
    """This machine lacks a requirement. The text names it in a few words."""


def python_environment(name: str, requirements: str) -> Path:
    """The program folder of a virtual environment with these requirements. Raises Missing."""
    digest = hashlib.sha256((requirements + sys.version).encode()).hexdigest()
    folder = CACHE / f"{name}-{digest[:16]}"
    with locked():
        if not (folder / "installed").exists():
            shutil.rmtree(folder, ignore_errors=True)
            pip = [str(folder / "bin" / "pip"), "install", "--quiet", *requirements.split()]
            for command in ([sys.executable, "-m", "venv", str(folder)], pip):
                ended = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
                if ended.returncode:
                    raise Missing(f"its environment could not be made: {ended.stderr.strip()[-300:]}")
            (folder / "installed").touch()
    return folder / "bin"


@contextmanager
def locked() -> Iterator[None]:
    """Hold the lock, so that two simultaneous runs do not install into one folder."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
