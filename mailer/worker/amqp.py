"""Celery's connections, over the gated transport only, and its events, which do not block the event loop."""

from __future__ import annotations

import math
import re
import time
from functools import partial
from typing import Any

import kombu
from celery.app import amqp, events
from celery.events import dispatcher

from mailer.broker.transport import Transport
from mailer.errors import SettingsError
from mailer.masking import mask_logins
from mailer.queue.leases import Leases

_REST_SECONDS = 10.0
"""The time without any event after a failed one. Each try may block for the whole Redis timeout."""


class Connection(kombu.Connection):
    """A connection over the gated transport only. kombu's own transports would take mail from lanes past the account's
    rate. Flower chooses its broker page by the scheme of `as_uri`."""

    def __init__(self, *args: Any, leases: Leases, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.leases = leases
        if self.alt:
            # After a lost connection kombu tries the next URL, with the transport of that URL's scheme.
            raise SettingsError(
                "Celery was given more than one broker URL. Give it none: mailer reads MAILER_REDIS_URL, which may "
                "name several sentinels"
            )

    def clone(self, **kwargs: Any) -> Any:
        return super().clone(leases=self.leases, **kwargs)

    def get_transport_cls(self) -> Any:
        found = super().get_transport_cls()
        if not (isinstance(found, type) and issubclass(found, Transport)):
            raise SettingsError(
                f"Celery was given a broker with the transport {self.transport_cls}, which would take mail from its "
                "lanes past the account's rate. Give it none: mailer reads MAILER_REDIS_URL"
            )
        return found

    def info(self) -> dict[str, Any]:
        """The details that ``celery inspect stats`` and Flower print. Celery removes the password field. Over a socket
        the host name is the whole URL, so logins are masked in it."""
        found: dict[str, Any] = super().info()
        ssl = found["ssl"]
        shown = {name: "***" if "password" in name else each for name, each in ssl.items()} if ssl else ssl
        return {**found, "hostname": mask_logins(found["hostname"]), "ssl": shown}

    def as_uri(self, *args: Any, **kwargs: Any) -> str:
        uri: str = super().as_uri(*args, **kwargs)
        scheme = "rediss" if self.ssl else "redis"
        return re.sub(r"^gated(?=[+:])", scheme, uri.replace("gated-sentinel:", "sentinel:"))


class AMQP(amqp.AMQP):
    """Celery's messaging over `Connection`."""

    @property
    def Connection(self) -> Any:  # noqa: N802 - Celery's name
        return partial(Connection, leases=self.app.leases)


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


class Events(events.Events):
    """``app.events`` with `Dispatcher`."""

    dispatcher_cls = Dispatcher
