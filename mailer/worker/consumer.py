"""Changes to Celery's consumer: it keeps messages that it cannot decode, and reconnects soon after Redis is back."""

from __future__ import annotations

import math
import time
import warnings
from functools import partial
from typing import Any

from celery.exceptions import CPendingDeprecationWarning
from celery.utils.log import get_logger
from celery.worker import consumer as stock
from celery.worker.consumer.control import Control
from celery.worker.state import maybe_shutdown
from kombu.common import ignore_errors
from redis.exceptions import ResponseError

from mailer.queue.admission import NOT_SUPPORTED, UNDECODABLE
from mailer.queue.bounds import shortened
from mailer.queue.settlement import Settlement
from mailer.worker import control
from mailer.worker.lifecycle import Lifecycle
from mailer.worker.request import Followed

logger = get_logger(__name__)

_OTHERWISE = "`mailer doctor` tells what it misses of this server"
_REPLICA = "It is a replica: have MAILER_REDIS_URL name the master, or the sentinels that know it"
_REMEDIES = {
    "READONLY": _REPLICA,
    # Redis ends a wait for the doorbell with this code when the master becomes a replica.
    "UNBLOCKED": _REPLICA,
    "NOPERM": "Use a worker's user (docs/operate/deploy.md): a producer's only enqueues. `mailer doctor` says what it "
    "lacks",
    "OOM": "Give it more memory, or drop what is not needed: `mailer dead`, `held`, `scheduled`",
    "MOVED": "It is a node of a cluster: name a server that has all of the keys",
    "NOREPLICAS": "Too few of its replicas are connected for its min-replicas-to-write: bring them back",
    "MISCONF": "It cannot save to its disk: make room there, or see its log",
    "MASTERDOWN": "It is a replica that has lost its master: have MAILER_REDIS_URL name the master",
    "CLUSTERDOWN": "Its cluster is down: bring the missing nodes back",
    "BUSY": "A script runs in it and does not end: SCRIPT KILL ends it",
    "UNKILLABLE": "A script runs in it and does not end",
}
"""Remedies for people, by Redis's code of a refusal."""

# Seconds between tries to connect. Celery's own grow to 30. Celery logs five connections within a second as critical.
_FIRST, _STEP, _MOST = 0.3, 0.4, 3.0
# All workers must reconnect, and settle their sends, before the first of them may reclaim a lease.
_MOST_OF_A_LEASE = 0.05
_SHORT_LIVED_SECONDS = 5.0
_LOOK_SECONDS = 0.1


class Consumer(stock.Consumer):
    """Keeps undecodable messages as dead letters, where Celery acknowledges them and so deletes them. Reconnects within
    seconds of Redis's return, however long Redis was away."""

    _connected_at = -math.inf
    _short_lived = 0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.blueprint[Control.name].box.node.handlers = control.commands()

    def shutdown(self) -> None:
        super().shutdown()
        self.controller.blueprint[Lifecycle.name].ended(self.hostname)

    def ensure_connected(self, conn: Any) -> Any:
        conn.ensure_connection = partial(
            conn.ensure_connection, interval_start=_FIRST, interval_step=_STEP, interval_max=self._longest_pause
        )
        connected = super().ensure_connected(conn)
        self._connected_at = time.monotonic()
        return connected

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        if not self._is_defect(exc):
            super().on_connection_error_before_connected(exc)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        if self._is_defect(exc):
            connection, self.connection = self.connection, None  # type: ignore[has-type]
            ignore_errors(connection, connection.collect)
            ignore_errors(connection, connection.close)
            self._pause()
            return
        with warnings.catch_warnings():
            # It warns that a future Celery cancels running tasks unless a setting forbids it. `app` sets that setting.
            warnings.simplefilter("ignore", CPendingDeprecationWarning)
            super().on_connection_error_after_connected(exc)
        self._tell_refusal(exc)
        self._pause()

    def _is_defect(self, error: Exception) -> bool:
        """Whether this is a defect and not a lost connection to Redis. Log a defect. kombu's list of lost connections
        is too wide: it has every OSError and KeyError, and so defects of this program."""
        lost = {*self.connection_errors, *self.channel_errors, ConnectionError, TimeoutError} - {OSError, KeyError}
        if isinstance(error, tuple(lost)):
            return False
        logger.error("A defect of this program broke its event loop, which begins anew", exc_info=error)
        return True

    def _tell_refusal(self, error: Exception) -> None:
        """Log each cause once, not at each try. `Gate` logs the end of the refusal."""
        refused = error if isinstance(error, ResponseError) else error.__context__
        if isinstance(refused, ResponseError):
            words, what_to_do = str(refused), remedy(refused)
            leases = self.app.leases
            if leases.refusal != (what_to_do or words):
                leases.refusal = what_to_do or words
                logger.warning(
                    "No mail goes out here, as Redis refuses this worker: %s. %s",
                    words.rstrip("."),
                    what_to_do or _OTHERWISE,
                )

    @property
    def _longest_pause(self) -> float:
        """The most seconds between two tries to connect."""
        lease_seconds: float = self.app.settings.lease_seconds
        return min(_MOST, max(_FIRST, _MOST_OF_A_LEASE * lease_seconds))

    def _pause(self) -> None:
        """Wait after a short connection. A Redis that refuses every write still accepts connections, so connecting
        alone would not slow down the tries."""
        was_short = time.monotonic() - self._connected_at < _SHORT_LIVED_SECONDS
        self._short_lived = self._short_lived + 1 if was_short else 0
        if self._short_lived > 1:
            until = time.monotonic() + min(self._longest_pause, _FIRST + _STEP * (self._short_lived - 2))
            while time.monotonic() < until:
                maybe_shutdown()
                time.sleep(_LOOK_SECONDS)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        self._set_aside(message, UNDECODABLE, f"Its body cannot be read: {type(exc).__name__}: {exc}")

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002 - Celery logs the body
        if isinstance(exc, Followed):
            self._set_aside(message, NOT_SUPPORTED, str(exc))
        else:
            self._set_aside(message, UNDECODABLE, f"Celery makes no task of it: {type(exc).__name__}: {exc}")

    def _set_aside(self, message: Any, code: str, words: str) -> None:
        words = shortened(words)
        logger.error("A message is set aside as a dead letter (%s). %s", code, words)
        message.channel.leases.decide(str(message.delivery_tag), Settlement.dead(code, words))
        message.reject_log_error(logger, self.connection_errors)


def remedy(refused: ResponseError) -> str | None:
    """The remedy for a person, if there is one."""
    # redis-py takes the codes that it knows off the words.
    return _REMEDIES.get(refused.status_code or str(refused).partition(" ")[0])
