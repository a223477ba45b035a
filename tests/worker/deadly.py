"""The worker's application with a door that does not survive messages of one subject."""

from __future__ import annotations

import os
import signal
from typing import Any

from mailer.settings import current
from mailer.worker.app import create_app
from mailer.worker.door import Door
from tests.worker.conftest import DEADLY


class DeadlyDoor(Door):
    """Ends its process in the middle of a send, as a crash in a C library or the kernel's OOM killer would."""

    def run(self, *args: Any, **kwargs: Any) -> str:
        _touch(kwargs)
        return super().run(*args, **kwargs)

    def begin(self, request: Any, *args: Any) -> None:
        _touch(request["kwargs"])
        super().begin(request, *args)


def _touch(message: dict[str, Any]) -> None:
    if message["subject"] == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)


celery = create_app(current())
celery.register_task(DeadlyDoor(current()))
