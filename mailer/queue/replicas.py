"""How many replicas must have a write before it counts.

All replicas must have it, because a failover may promote any of them; and at least as many as the settings require. If
there are fewer replicas than before, the missing one may have become the master. So the lower number is accepted only
while the sentinels still name this server as the master, and are not replacing it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import redis
from redis.sentinel import SentinelConnectionPool

_LOOK_SECONDS = 1.0


def online(info: Mapping[str, Any]) -> int:
    """The number of replicas that follow the server, from its INFO replication."""
    links = [value for name, value in info.items() if name.startswith("slave") and isinstance(value, Mapping)]
    return sum(1 for link in links if link.get("state") == "online")


class Replicas:
    """The replicas of the server to which ``pool`` connects. ``least`` is the number that the settings require.

    Thread-safe.
    """

    def __init__(self, pool: Any, least: int) -> None:
        self.least = least
        self._pool = pool
        self._is_watched = isinstance(pool, SentinelConnectionPool)
        self.expected = least
        """The number of replicas that must have a write."""
        self._server: tuple[str, int] | None = None
        self._looked_at = 0.0

    def wants_a_look(self, connection: Any) -> bool:
        """Whether it is time to ask the connection's server for INFO replication."""
        if not self.least or not self._is_watched:
            return False
        now = time.monotonic()
        if _address(connection) == self._server and now - self._looked_at < _LOOK_SECONDS:
            return False
        self._looked_at = now
        return True

    def saw(self, connection: Any, info: Mapping[str, Any]) -> None:
        """Note the server's INFO replication. A lower number of replicas than before is not accepted here."""
        server = _address(connection)
        self.expected = max(self.expected if server == self._server else self.least, online(info))
        self._server = server

    def enough(self, connection: Any, reached: int) -> bool:
        """Whether ``reached`` replicas are enough. If one is missing, this asks the sentinels."""
        if reached >= self.expected:
            return True
        if reached < self.least or not (self._is_watched and self.is_master(connection)):
            return False
        self.expected = reached
        return True

    def is_master(self, connection: Any) -> bool:
        """Ask the sentinels whether the connection's server is the master, and not being replaced.

        True without sentinels.
        """
        if not self._is_watched:
            return True
        try:
            return bool(self._pool.sentinel_manager.discover_master(self._pool.service_name) == _address(connection))
        except (redis.exceptions.RedisError, OSError):
            return False


def _address(connection: Any) -> tuple[str, int]:
    return connection.host, int(connection.port)
