"""Celery's connections, shown by the scheme that people know."""

from __future__ import annotations

import re
from typing import Any

import kombu
from celery.app import amqp as stock


class Connection(kombu.Connection):
    """A connection over the gated transport. Flower picks its broker page by the scheme of `as_uri`."""

    def as_uri(self, *args: Any, **kwargs: Any) -> str:
        uri: str = super().as_uri(*args, **kwargs)
        scheme = "rediss" if self.ssl else "redis"
        return re.sub(r"^gated(?=[+:])", scheme, uri.replace("gated-sentinel:", "sentinel:"))


class AMQP(stock.AMQP):
    """Celery's messaging, over those connections."""

    Connection = Connection
