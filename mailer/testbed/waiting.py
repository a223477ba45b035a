"""Waiting for what comes true sooner or later, and ports to wait on."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

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


def free_port() -> int:
    """A port below the range for outgoing connections, so that no client takes it while its server is down."""
    return until(lambda: bindable(random.randrange(*_PORTS)), "a free port")
