"""Writes files that appear complete or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def writing(path: Path, mode: int = 0o600) -> Iterator[IO[str]]:
    """Replace ``path``, also if it is a link. By default only its owner may read it."""
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    # Never follows a link: another user who may write to the folder could have put it there.
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        yield file
    partial.replace(path)
