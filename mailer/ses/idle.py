"""Connections that are kept open for the next send."""

from __future__ import annotations

from collections import deque
from typing import Protocol, TypeVar


class Connection(Protocol):
    """What is asked of a connection to be kept."""

    def is_stale(self) -> bool: ...
    def close(self) -> None: ...


C = TypeVar("C", bound=Connection)


class Idle(deque[C]):
    """Those that no send uses. Thread-safe.

    Last in, first out, so that at low rates the few warm connections are used and the others age out.
    """

    def warm(self) -> C | None:
        """One that can still be used, None if there is none. What cannot be is closed."""
        while (connection := self._last()) is not None:
            if not connection.is_stale():
                return connection
            connection.close()
        return None

    def close(self) -> None:
        """Close them all."""
        while (connection := self._last()) is not None:
            connection.close()

    def _last(self) -> C | None:
        try:
            return self.pop()
        except IndexError:
            return None
