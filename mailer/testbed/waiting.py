"""Waiting for what comes true sooner or later, and ports to wait on."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Self, TypeVar

from mailer.errors import MailerError
from mailer.host.port import bindable

PATIENCE_SECONDS = 60.0
"""Long enough for a machine with other work to do."""
_PORTS = (15_000, 32_768)
_EVERY_SECONDS = 0.02

Found = TypeVar("Found")


class NotInTime(MailerError):
    """Something did not come true in time. The text names it."""


def until(
    condition: Callable[[], Found],
    what: str | Callable[[], str] = "what was waited for",
    seconds: float = PATIENCE_SECONDS,
    every: float = _EVERY_SECONDS,
) -> Found:
    """Poll until ``condition`` is true, and return its value. Raises NotInTime with ``what``."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise NotInTime(f"not within {seconds:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(every)
    return found


class Beside:
    """A block with a thread beside it: ``work`` begins with the block, and ends once ``over`` is set at its end."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self._thread = threading.Thread(target=self.work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._thread.join()

    def work(self) -> None:
        raise NotImplementedError


def free_port() -> int:
    """A port below the range for outgoing connections, so that no client takes it while its server is down."""
    return until(lambda: bindable(random.randrange(*_PORTS)), "a free port")
