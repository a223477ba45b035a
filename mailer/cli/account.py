"""The account that a command works on. The environment names it."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from mailer.queue.connection import connect
from mailer.settings import Settings, current


@contextmanager
def open_redis() -> Iterator[tuple[redis.Redis, Settings]]:
    """A client of the account's Redis, and the settings."""
    settings = current()
    client = connect(settings)
    try:
        yield client, settings
    finally:
        client.close()


def who() -> str:
    """The person at the terminal. Other people see this name later."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):
        # A user in a container often has no name.
        return socket.gethostname()
