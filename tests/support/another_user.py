"""Another user of the host: what this user's programs must withstand is tried for real."""

from __future__ import annotations

import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NOBODY = 65534
THIRD = 1
"""A user who is neither root nor nobody; some systems have a name for it."""

needs_two_users = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


def as_another(act: Callable[[], object], uid: int = NOBODY) -> str:
    """What ``act`` returns, as text, or the name of the error that it raises, in a process of another user."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            said = str(act())
        except BaseException as error:  # noqa: BLE001 - the child must not go on as the test
            traceback.print_exc()
            said = type(error).__name__
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as answer:
        found = answer.read()
    os.waitpid(child, 0)
    return found


@contextmanager
def common_folder(mode: int) -> Iterator[Path]:
    """A folder that every user of the host reaches."""
    folder = Path(tempfile.mkdtemp(prefix="mailer-common-"))
    folder.chmod(mode)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
