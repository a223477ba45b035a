"""A new file for its owner's eyes, which has its name only once it is whole."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mailer.errors import InvalidRequest, NotFound, Unwritable


@contextmanager
def new_file(file: str) -> Iterator[IO[str]]:
    """Open ``file`` for writing; ``-`` is the standard output."""
    if file == "-":
        yield sys.stdout
        return
    whole, part = Path(file), Path(f"{file}.part")
    if whole.exists() or whole.is_symlink():
        raise InvalidRequest(f"{file}: is there already. Name a new file")
    try:
        # Only the owner may read it.
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InvalidRequest(f"{part}: is there already, of an export that runs or was broken off. Remove it") from None
    # The file gets its own name only when it is complete.
    missing = None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as output:
            try:
                yield output
            except NotFound as error:  # some names do not exist; the file has all the other messages
                missing = error
            output.flush()
            os.fsync(descriptor)
        part.rename(whole)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            why = error.strerror or error
            raise Unwritable(
                f"{file}: cannot be written ({why}), and nothing of it was left. Make room there"
            ) from error
        raise
    if missing is not None:
        raise missing
