"""A pool of connections to Redis. While all connections are in use, further calls wait in order."""

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
"""Before a connection is used again, the sentinels are asked if their last answer is older than this."""


class _Slots:
    """``count`` slots. A caller that finds none free waits in a line. A slot that becomes free goes to the line first.

    No thread holds a lock here that an interruption could leave locked. So a signal handler may take a slot, and so may
    a child process, whatever its parent's threads were doing. It relies on deque methods, which are atomic.
    """

    def __init__(self, count: int) -> None:
        self._free = deque([None] * count)
        self._line: deque[Any] = deque()

    def take(self, seconds: float) -> bool:
        """Take a slot; returns whether one was free, or became free within ``seconds``."""
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
            # A slot may have become free before this call joined the line.
            self._hand_on()
            return turn.acquire(timeout=seconds) or not self._leave(turn)
        except BaseException:  # from a signal handler, or a greenlet's timeout
            if not self._leave(turn):
                self.give_back()
            raise

    def _leave(self, turn: Any) -> bool:
        """Leave the line; returns False if a slot was handed over meanwhile."""
        try:
            self._line.remove(turn)
        except ValueError:
            return False
        return True

    def _hand_on(self) -> None:
        # Both a caller that joins and one that gives back run this, each after its own append. So at least one of them
        # sees both the waiting call and the free slot.
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
    """Redis-py's pool, except that a call waits for a free connection. Calls are served in order.

    A call waits as long as for an answer (``socket_timeout``), then raises MaxConnectionsError.
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
            # Give no slot back for a connection that a parent process lent, or that failed before it was lent.
            if connection in self._lent:
                self._lent.discard(connection)
                self._slots.give_back()


class SentinelPool(Pool, SentinelConnectionPool):
    """The same for connections to the master that sentinels watch.

    It asks the sentinels again regularly, because a master that was replaced as planned accepts writes for ten seconds
    more, and loses them.
    """

    _asked_at = -math.inf

    def get_connection(self, *args: Any, **options: Any) -> Any:
        now = time.monotonic()
        if now - self._asked_at > ASK_SECONDS:
            self._asked_at = now
            # If the master is another, this disconnects idle connections. If no sentinel answers, the old one may do.
            with suppress(RedisError, OSError):
                self.get_master_address()  # type: ignore[no-untyped-call]
        return super().get_connection(*args, **options)
