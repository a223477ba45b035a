"""A pool of connections to Redis in which a call waits for its turn while all of them are in use."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any

from redis.connection import Connection, ConnectionPool
from redis.exceptions import MaxConnectionsError, RedisError
from redis.sentinel import SentinelConnectionPool

ASK_SECONDS = 1.0
"""How old what the sentinels said may be when a connection is used again."""


class _Slots:
    """So many may be taken at a time; who finds none stands in a line, and none that comes free passes by it.

    There is no lock that a thread could hold while it is interrupted: a signal's handler may take one, and so may a
    child process, whatever the threads of its parent were at. It relies on a deque's methods, which are atomic.
    """

    def __init__(self, count: int) -> None:
        self._free = deque([None] * count)
        self._line: deque[Any] = deque()

    def take(self, seconds: float) -> bool:
        """Whether one was free, or came free in time."""
        try:
            self._free.pop()
        except IndexError:
            return self._wait(seconds)
        return True

    def give_back(self) -> None:
        self._free.append(None)
        self._hand_on()

    def _wait(self, seconds: float) -> bool:
        turn = threading.Lock()
        turn.acquire()
        try:
            self._line.append(turn)
            # One may have come free before it stood there.
            self._hand_on()
            return turn.acquire(timeout=seconds) or not self._leave(turn)
        except BaseException:  # from a signal's handler, or a greenlet's timeout
            if not self._leave(turn):
                self.give_back()
            raise

    def _leave(self, turn: Any) -> bool:
        """Whether it left the line; False if one was handed over meanwhile."""
        try:
            self._line.remove(turn)
        except ValueError:
            return False
        return True

    def _hand_on(self) -> None:
        # Both who comes and who gives back look here, each after its own entry: so one of them sees the other's.
        while self._line:
            try:
                self._free.pop()
            except IndexError:
                return
            try:
                self._line.popleft().release()
            except IndexError:
                self._free.append(None)


class Pool(ConnectionPool):
    """Redis-py's pool, but that a call waits for a connection as long as for an answer. Then MaxConnectionsError.

    Calls get their connections in the order in which they came.
    """

    def reset(self) -> None:
        self._slots = _Slots(self.max_connections)
        self._lent: set[Connection] = set()
        super().reset()

    def get_connection(self, *args: Any, **options: Any) -> Any:
        self._checkpid()
        slots, seconds = self._slots, self.connection_kwargs["socket_timeout"]
        if not slots.take(seconds):
            raise MaxConnectionsError(
                f"all {self.max_connections} connections of this process are in use, and none came free within "
                f"{seconds:g} s"
            )
        try:
            connection = super().get_connection(*args, **options)
            self._lent.add(connection)
        except BaseException:
            slots.give_back()
            raise
        return connection

    def release(self, connection: Any) -> None:
        try:
            super().release(connection)
        finally:
            # Not of one that a parent process lent, or that failed before it was lent.
            if connection in self._lent:
                self._lent.discard(connection)
                self._slots.give_back()


class SentinelPool(Pool, SentinelConnectionPool):
    """The same, of connections to the master that sentinels watch.

    Who uses it asks them again now and then: a master that was replaced as planned takes writes for ten seconds more,
    and loses them.
    """

    _asked_at = -math.inf

    def get_connection(self, *args: Any, **options: Any) -> Any:
        now = time.monotonic()
        if now - self._asked_at > ASK_SECONDS:
            self._asked_at = now
            # Where it is another one, this disconnects what lies idle. Where nobody answers, the old one may do.
            with suppress(RedisError, OSError):
                self.get_master_address()  # type: ignore[no-untyped-call]
        return super().get_connection(*args, **options)
