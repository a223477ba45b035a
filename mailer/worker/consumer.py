"""Celery's consumer, which must not throw away what it cannot decode, nor stay away from a Redis that is back."""

from __future__ import annotations

from functools import partial
from typing import Any

from celery.utils.dispatch import Signal
from celery.utils.log import get_logger
from celery.worker import consumer as stock

from mailer import payload
from mailer.broker.gate import UNDECODABLE
from mailer.broker.leases import Settlement

logger = get_logger(__name__)

consumer_ended = Signal(name="consumer_ended", providing_args=set())
"""Sent once, when a worker's pool and its connection to the broker have ended: after a warm shutdown and a cold one.
(Celery's ``worker_shutdown`` comes after a warm one only.)"""


# Seconds between tries to connect. Celery's own grow to 30.
_TRY_AGAIN = {"interval_start": 0.2, "interval_step": 0.4, "interval_max": 3.0}


class Consumer(stock.Consumer):
    """Sets undecodable messages aside as dead letters where Celery acknowledges (so deletes) them, and reconnects
    within seconds after however long."""

    def shutdown(self) -> None:
        super().shutdown()
        consumer_ended.send(sender=self)

    def ensure_connected(self, conn: Any) -> Any:
        conn.ensure_connection = partial(conn.ensure_connection, **_TRY_AGAIN)
        return super().ensure_connected(conn)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        self._set_aside(message, UNDECODABLE, f"Its body cannot be read: {type(exc).__name__}: {exc}")

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002 - Celery logs the body
        self._set_aside(message, UNDECODABLE, f"Celery makes no task of it: {type(exc).__name__}: {exc}")

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002
        self._set_aside(message, "UnknownTask", f"There is no task {exc} here. Send to {payload.TASK}")

    def _set_aside(self, message: Any, code: str, words: str) -> None:
        logger.error("A message is set aside as a dead letter (%s). %s", code, words)
        message.channel.leases.decide(str(message.delivery_tag), Settlement("dead", code, words))
        message.reject_log_error(logger, self.connection_errors)
