"""The worker's application with a door that does not survive messages of one subject, and defects at others."""

from __future__ import annotations

import os
import signal
from typing import Any

from kombu.asynchronous import get_event_loop

from mailer.delivery.outcome import Kind
from mailer.settings import current
from mailer.worker.app import create_app
from mailer.worker.door import Door
from mailer.worker.report import Report
from mailer.worker.request import Request
from tests.support.post import DEADLY, DEFECTIVE, LOOP_BREAKING, OVERHEARD, UNDELIVERABLE


class DefectiveRequest(Request):
    """Breaks off before the pool has it, or once its send has ended."""

    def __init__(self, message: Any, **options: Any) -> None:
        super().__init__(message, **options)
        if self._kwargs["subject"] == UNDELIVERABLE:
            raise KeyError("a defect")

    def send_event(self, kind: str, **fields: Any) -> None:
        # Celery calls this: after the send from its on_success.
        is_sent = kind == "task-succeeded" and fields["result"].startswith("sent ")
        if self._kwargs["subject"] == OVERHEARD and is_sent:
            raise KeyError("a defect")
        super().send_event(kind, **fields)

    def settle_as(self, outcome: Any) -> None:
        if self._kwargs["subject"] == DEFECTIVE and outcome.kind is Kind.SENT:
            raise KeyError("a defect")
        super().settle_as(outcome)


class DeadlyDoor(Door):
    """Ends its process in the middle of a send, as a crash in a C library or the kernel's OOM killer would."""

    Request = "tests.support.deadly:DefectiveRequest"

    def run(self, *args: Any, **kwargs: Any) -> Report:
        _touch(kwargs)
        return super().run(*args, **kwargs)

    def begin(self, request: Any, *args: Any) -> None:
        _touch(request["kwargs"])
        super().begin(request, *args)
        if request["kwargs"]["subject"] == LOOP_BREAKING:
            get_event_loop().call_soon(_break_off)


def _break_off() -> None:
    raise KeyError("a defect")


def _touch(message: dict[str, Any]) -> None:
    if message["subject"] == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)


celery = create_app(current())
celery.register_task(DeadlyDoor(current()))
