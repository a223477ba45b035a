"""Celery's pool of threads, for the transports that block: ``-P custom`` with
``CELERY_CUSTOM_WORKER_POOL=mailer.worker.threads:TaskPool``. A cold shutdown cannot bring it to a standstill."""

from __future__ import annotations

from celery.concurrency import thread as stock

from mailer.worker.stopping import EndsAfterTheLoop


class TaskPool(EndsAfterTheLoop, stock.TaskPool):
    """Celery's own would wait in SIGQUIT's handler for the executor's lock; where the handler has interrupted the
    handing of a task to the executor, the very thread that waits holds it."""
