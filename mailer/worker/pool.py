"""A Celery pool without threads: ``-P custom`` with ``CELERY_CUSTOM_WORKER_POOL=mailer.worker.pool:TaskPool``.

The pool begins each ``mailer.send``, and the worker's event loop finishes it. ``-c`` is the number of sends in flight.
Each costs a fraction of a thread.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Any

from celery.concurrency.base import apply_target
from celery.utils.log import get_logger

from mailer.delivery.outcome import Outcome
from mailer.masking import mask_addresses
from mailer.queue.headers import TASK
from mailer.ses.curl.loop import CurlLoop
from mailer.ses.curl.transport import CurlTransport
from mailer.worker.door import Door
from mailer.worker.report import line
from mailer.worker.stopping import EndsAfterTheLoop

logger = get_logger(__name__)


class TaskPool(EndsAfterTheLoop):
    """Sends on the worker's event loop if the transport can. Other transports block, as in the solo pool."""

    signal_safe = False
    body_can_be_buffer = True
    Sender = CurlLoop

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pid = os.getpid()
        self._sender: CurlLoop | None = None
        self._door: Door | None = None

    def on_start(self) -> None:
        self._door = self.app.tasks[TASK]
        if isinstance(self._door.transport, CurlTransport):
            self._sender = self.Sender(self._door.transport)

    def register_with_event_loop(self, loop: Any) -> None:
        if self._sender is not None:
            self._sender.attach(loop)

    def on_stop(self) -> None:
        """Finish the sends in flight. Each ends within its timeouts."""
        if self._sender is not None and self._door is not None:
            self._sender.drain(self._door.settings.send_seconds + 1)

    def terminate_job(self, pid: int, signal: int | None = None) -> None:
        """Does nothing: a send cannot be called back."""

    def on_apply(
        self,
        target: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
        callback: Callable[[Any], Any] | None = None,
        accept_callback: Callable[[int, float], Any] | None = None,
        **_: Any,
    ) -> None:
        if self._sender is None or self._door is None:
            apply_target(target, args, kwargs, callback, accept_callback, self._pid)
            return
        started = time.monotonic()
        if accept_callback is not None:
            accept_callback(self._pid, started)

        def finished(ended: Outcome | Exception) -> None:
            if callback is not None:
                # The result of fast_trace_task for a task that did not fail, but with the outcome in place of text.
                callback((0, ended, time.monotonic() - started))
            if isinstance(ended, Outcome) and logger.isEnabledFor(logging.INFO):
                logger.info("Message %s: %s", args[1], mask_addresses(line(ended)))

        self._door.begin(args[2], self._sender, finished)

    def _get_info(self) -> dict[str, Any]:
        info: dict[str, Any] = super()._get_info()
        return {**info, "in-flight": self._sender.in_flight if self._sender else 0}
