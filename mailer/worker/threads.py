"""Celery's pool of threads, for the transports that block: ``-P custom`` with
``CELERY_CUSTOM_WORKER_POOL=mailer.worker.threads:TaskPool``. A cold shutdown cannot bring it to a standstill."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from celery.concurrency import thread as stock

from mailer.worker.stopping import EndsAfterTheLoop


class TaskPool(EndsAfterTheLoop, stock.TaskPool):
    """Celery's own would wait in SIGQUIT's handler for the executor's lock; where the handler has interrupted the
    handing of a task to the executor, the very thread that waits holds it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # Celery finds an application by the thread.
        self.executor = ThreadPoolExecutor(self.limit, initializer=self.app.set_current)
