"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def writing(path: Path, mode: int = 0o600) -> Iterator[IO[str]]:
    """``path`` anew, for its owner's eyes only if no ``mode`` says otherwise. A link in its place is replaced."""
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    # No link is followed that somebody else put there, who may write the folder too.
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        yield file
    partial.replace(path)
