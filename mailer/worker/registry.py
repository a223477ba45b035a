"""Which tasks a worker has: one."""

from __future__ import annotations

from typing import Any

from celery.app.registry import TaskRegistry

from mailer.queue.headers import TASK


class Registry(TaskRegistry):
    """Keeps ``mailer.send`` and passes over every other task: Celery's own (``celery.map`` and its like run whatever
    whoever enqueues names) and those that other libraries share with all applications."""

    def __setitem__(self, name: str, task: Any) -> None:
        if name == TASK:
            super().__setitem__(name, task)
