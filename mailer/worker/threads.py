"""Celery's pool of threads, for the transports that block: ``-P custom`` with
``CELERY_CUSTOM_WORKER_POOL=mailer.worker.threads:TaskPool``. A cold shutdown cannot deadlock it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from celery.concurrency import thread as stock

from mailer.worker.stopping import EndsAfterTheLoop


class TaskPool(EndsAfterTheLoop, stock.TaskPool):
    """Celery's own pool waits in SIGQUIT's handler for the executor's lock. The handler may have interrupted the
    submission of a task. Then the waiting thread itself holds the lock."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # Celery's current application is local to a thread.
        self.executor = ThreadPoolExecutor(self.limit, initializer=self.app.set_current)
