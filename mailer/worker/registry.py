"""A worker's only task."""

from __future__ import annotations

from typing import Any

from celery.app.registry import TaskRegistry

from mailer.queue.headers import TASK


class Registry(TaskRegistry):
    """Keeps ``mailer.send`` and ignores every other task. Celery's own are ignored, as ``celery.map`` and its like run
    any task that a producer names. So are the tasks that other libraries share with all applications."""

    def __setitem__(self, name: str, task: Any) -> None:
        if name == TASK:
            super().__setitem__(name, task)
