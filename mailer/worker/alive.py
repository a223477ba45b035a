"""A sign of life: each worker process touches a file as its event loop turns, for cheap health checks.

It is an empty file in ``MAILER_ALIVE_DIR``. Its name is the process's name without the host. A process that stands
still, has ended or is not connected to Redis stops touching its file. A file older than 20 seconds means a fault.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from celery.utils.nodenames import nodesplit

from mailer.errors import SettingsError

_SUFFIX = ".alive"
_EVERY_SECONDS = 2.0


def file_of(folder: Path, name: str) -> Path:
    """The file of the process with this name. The name may include the host."""
    return folder / f"{nodesplit(name)[0] or name}{_SUFFIX}"


def begin(folder: Path, files: Iterable[Path]) -> None:
    """Create these files in the folder, before their processes start. Remove all other files with this suffix.

    Raises SettingsError.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in folder.glob(f"*{_SUFFIX}"):
            left.unlink()
        for file in files:
            file.touch()
    except OSError as error:
        raise SettingsError(
            f"MAILER_ALIVE_DIR={folder}: cannot be used ({error.strerror}). Name a folder that can be written"
        ) from error


def show(file: Path, loop: Any) -> None:
    """Have a worker touch its file while this loop turns."""
    loop.timer.call_repeatedly(_EVERY_SECONDS, _touch, (file,))
    _touch(file)


def _touch(file: Path) -> None:
    # A file that cannot be touched grows old. A health check sees its age.
    with suppress(OSError):
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600))
        os.utime(file)
