"""The pool of a mailer worker: ``-P custom`` with ``CELERY_CUSTOM_WORKER_POOL=mailer.worker.pool:TaskPool``."""

from __future__ import annotations

import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from celery.concurrency import thread as stock
from celery.utils.functional import noop
from celery.utils.log import get_logger
from celery.worker import state

from mailer.delivery.outcome import Outcome
from mailer.masking import mask_addresses
from mailer.queue.headers import TASK
from mailer.ses.curl.loop import CurlLoop
from mailer.ses.curl.transport import CurlTransport
from mailer.worker.door import Door
from mailer.worker.report import line

logger = get_logger(__name__)


class TaskPool(stock.TaskPool):
    """Needs no threads for the transport `CurlTransport`: it begins each send, and the worker's event loop finishes it.
    Then ``-c`` is the number of sends in flight, and each costs a fraction of a thread. Other transports block: each
    send takes a thread of Celery's own pool.

    SIGQUIT's handler may interrupt the event loop anywhere, and calls ``stop`` there. The loop may be submitting a task
    and hold the executor's lock. So ``stop`` only refuses new work then, and waits for nothing. The work in flight is
    finished after the loop has ended.
    """

    Sender = CurlLoop

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # Celery's current application is local to a thread.
        self.executor = ThreadPoolExecutor(self.limit, initializer=self.app.set_current)
        self._pid = os.getpid()
        self._door: Door = self.app.tasks[TASK]
        self._sender: CurlLoop | None = None
        if isinstance(self._door.transport, CurlTransport):
            self._sender = self.Sender(self._door.transport)
            self._door.attach(self._sender)

    def register_with_event_loop(self, loop: Any) -> None:
        if self._sender is not None:
            self._sender.attach(loop)

    def stop(self) -> None:
        if state.should_terminate:
            self._state = self.TERMINATE
        else:
            super().stop()

    def on_stop(self) -> None:
        """Finish the sends in flight. Each ends within its timeouts."""
        if self._sender is not None:
            self._sender.drain(self._door.settings.send_seconds + 1)
        super().on_stop()

    on_terminate = on_stop

    def terminate_job(self, pid: int, signal: int | None = None) -> None:
        """Does nothing: a send cannot be called back."""

    def apply_async(self, *args: Any, **kwargs: Any) -> Any:
        # `LastFlush` hands back the refused work. The loop sees a warm shutdown at its next turn only, and Redis may
        # answer before.
        is_told = state.should_stop is not None and state.should_stop is not False  # it is an exit code, 0 for one
        return None if is_told or self._state == self.TERMINATE else super().apply_async(*args, **kwargs)

    def on_apply(
        self, target: Any, args: Any, kwargs: Any, callback: Any = noop, accept_callback: Any = noop, **_: Any
    ) -> Any:
        if self._sender is None:
            return super().on_apply(target, args, kwargs, callback, accept_callback)
        started = time.monotonic()
        accept_callback(self._pid, started)

        def finished(ended: Outcome | Exception) -> None:
            # The result of fast_trace_task for a task that did not fail, but with the outcome in place of text.
            callback((0, ended, time.monotonic() - started))
            if isinstance(ended, Outcome) and logger.isEnabledFor(logging.INFO):
                logger.info("Message %s: %s", args[1], mask_addresses(line(ended)))

        self._door.begin(args[2], finished)
        return None

    def _get_info(self) -> Any:
        info = super()._get_info()
        return info if self._sender is None else {**info, "in-flight": self._sender.in_flight}
