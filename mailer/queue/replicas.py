"""How many replicas must have what was written before it counts.

As many as there are, and at least as many as the settings ask for: a failover may take any of them. Fewer than there
were are believed only where the sentinels replace nothing: the one that is missing may have become the master.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import redis
from redis.sentinel import SentinelConnectionPool

_LOOK_SECONDS = 1.0


def online(info: Mapping[str, Any]) -> int:
    """The replicas that follow, of what INFO replication says."""
    links = [value for name, value in info.items() if name.startswith("slave") and isinstance(value, Mapping)]
    return sum(1 for link in links if link.get("state") == "online")


class Replicas:
    """Those of the server at which ``pool``'s connections end. Thread-safe."""

    def __init__(self, pool: Any, least: int) -> None:
        self.least = least
        self._pool = pool
        self._expected = least
        self._server: tuple[str, int] | None = None
        self._looked_at = 0.0

    @property
    def expected(self) -> int:
        """So many must have it."""
        return self._expected

    def wants_a_look(self, connection: Any) -> bool:
        """Whether it is time to ask that server for INFO replication."""
        if not self.least or not self._is_watched:
            return False
        now = time.monotonic()
        if _address(connection) == self._server and now - self._looked_at < _LOOK_SECONDS:
            return False
        self._looked_at = now
        return True

    def saw(self, connection: Any, info: Mapping[str, Any]) -> None:
        """What it said. That there are fewer than before says too little."""
        server = _address(connection)
        self._expected = max(self._expected if server == self._server else self.least, online(info))
        self._server = server

    def enough(self, connection: Any, reached: int) -> bool:
        """Whether ``reached`` of them are enough; the sentinels are asked if one is missing."""
        if reached >= self._expected:
            return True
        if reached < self.least or not (self._is_watched and self.is_master(connection)):
            return False
        self._expected = reached
        return True

    def is_master(self, connection: Any) -> bool:
        """Whether the sentinels say that its server is the master, and replace it with none; asked now. Without
        sentinels it is."""
        if not self._is_watched:
            return True
        try:
            return bool(self._pool.sentinel_manager.discover_master(self._pool.service_name) == _address(connection))
        except (redis.exceptions.RedisError, OSError):
            return False

    @property
    def _is_watched(self) -> bool:
        return isinstance(self._pool, SentinelConnectionPool)


def _address(connection: Any) -> tuple[str, int]:
    return connection.host, int(connection.port)
