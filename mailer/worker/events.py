"""Celery's events, sent without blocking the event loop during sends."""

from __future__ import annotations

import math
import time
from typing import Any

from celery.app import events as stock
from celery.events import dispatcher

_REST_SECONDS = 10.0
"""The time without any event after a failed one. Each try may block for the whole Redis timeout."""


class Dispatcher(dispatcher.EventDispatcher):
    """Tries each event once. Celery repeats a heartbeat until it succeeds. During that time its loop reads no answer
    from SES and notices no signal to stop. A failed heartbeat is dropped, as the next one says the same and is newer.
    """

    _rests_until = -math.inf

    def _publish(self, event: Any, producer: Any, routing_key: str, **options: Any) -> None:
        if time.monotonic() >= self._rests_until:
            waiting = len(self._outbound_buffer)
            super()._publish(event, producer, routing_key, **{**options, "retry": False})
            if len(self._outbound_buffer) == waiting:
                return
            self._outbound_buffer.pop()
            self._rests_until = time.monotonic() + _REST_SECONDS
        if not routing_key.startswith("worker."):
            self._outbound_buffer.append((event, routing_key))


class Events(stock.Events):
    """``app.events`` with `Dispatcher`."""

    dispatcher_cls = "mailer.worker.events:Dispatcher"
