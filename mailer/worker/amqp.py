"""Celery's connections, shown with the scheme ``redis`` or ``sentinel`` in place of ``gated``."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import kombu
from celery.app import amqp as stock

from mailer.broker.transport import Transport
from mailer.errors import SettingsError
from mailer.masking import mask_logins
from mailer.queue.leases import Leases


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

    def clone(self, **kwargs: Any) -> Connection:
        found: Connection = super().clone(leases=self.leases, **kwargs)
        return found

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


class AMQP(stock.AMQP):
    """Celery's messaging over `Connection`."""

    @property
    def Connection(self) -> Any:  # noqa: N802 - Celery's name
        return partial(Connection, leases=self.app.leases)
