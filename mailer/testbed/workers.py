"""Real workers for any application: the one place of their command line, and of how to tell that they are ready."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from mailer.host import child
from mailer.host.supervisor import ALONE
from mailer.testbed.process import Process, Start

POOLS = ("custom", "threads")
"""Pools by their names for ``celery worker -P``: mailer's own on the event loop, which ``mailer worker`` uses for SES,
and Celery's threads."""
LOOP_POOL = {"CELERY_CUSTOM_WORKER_POOL": "mailer.worker.pool:TaskPool"}
"""The variable that makes mailer's pool the custom one."""
READY = r" ready\.$"
"""A worker's line that it takes messages."""
_USUAL = {"-l": "INFO", "-c": "8", "-P": "custom"}


def command(*options: str, app: str = "mailer.worker") -> list[str]:
    """``celery -A APP worker``, with these options and the usual ones."""
    usual = [word for flag, value in _USUAL.items() if flag not in options for word in (flag, value)]
    return [sys.executable, "-m", "celery", "-A", app, "worker", *ALONE, *usual, *options]


class Worker(Process):
    """One worker. ``inside`` is the prefix that runs its command somewhere else, as in a network namespace."""

    def __init__(
        self,
        log: Path,
        environment: Mapping[str, str],
        *options: str,
        app: str = "mailer.worker",
        inside: Sequence[str] = (),
        start: Start = child.start,
    ) -> None:
        super().__init__([*inside, *command(*options, app=app)], log, {**LOOP_POOL, **environment}, start=start)

    def start(self) -> None:
        # An earlier one may have written that it is ready.
        self.log.unlink(missing_ok=True)
        super().start()

    @property
    def ready(self) -> bool:
        return re.search(READY, self.text, re.MULTILINE) is not None

    def wait_until_ready(self) -> Self:
        """Wait until it takes messages. Raises DidNotStart, and NotInTime."""
        self.wait_for(READY)
        return self
