"""Celery's events, which must not keep the event loop from what is being sent."""

from __future__ import annotations

import math
import time
from typing import Any

from celery.app import events as stock
from celery.events import dispatcher

_REST_SECONDS = 10.0
"""For how long no event is tried after one that failed: each may wait for as long as Redis may take to answer."""


class Dispatcher(dispatcher.EventDispatcher):
    """Tries an event once. Celery repeats a heartbeat until it succeeds, and meanwhile its loop reads no answer of SES
    and hears of no signal to stop. A heartbeat that failed is dropped: the next one says the same, and is newer.
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
    """``app.events`` with that dispatcher."""

    dispatcher_cls = "mailer.worker.events:Dispatcher"
