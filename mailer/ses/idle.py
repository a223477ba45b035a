"""Connections that are kept open for the next send."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Generic, Protocol, TypeVar


class Connection(Protocol):
    """What is asked of a connection to be kept."""

    def is_stale(self) -> bool: ...
    def close(self) -> None: ...


C = TypeVar("C", bound=Connection)


class Idle(Generic[C]):
    """Those that no send uses. Thread-safe.

    Last in, first out, so that at low rates the few warm connections are used and the others age out.
    """

    def __init__(self) -> None:
        self._kept: deque[C] = deque()

    def keep(self, connection: C) -> None:
        """For the next send: it is nobody's any more."""
        self._kept.append(connection)

    def release(self, connection: C, usable: bool) -> None:
        """The send that used it needs it no more."""
        if usable:
            self._kept.append(connection)
        else:
            connection.close()

    def warm(self) -> C | None:
        """One that can still be used, from now on the caller's; None if there is none. What cannot be is closed."""
        try:
            while (connection := self._kept.pop()).is_stale():
                connection.close()
        except IndexError:
            return None
        return connection

    def look_at(self, connection: C) -> None:
        """Close it if it is kept here and cannot be used any more."""
        try:
            self._kept.remove(connection)
        except ValueError:
            return
        if connection.is_stale():
            connection.close()
        else:
            self.keep(connection)

    def __iter__(self) -> Iterator[C]:
        """Those that are kept at this moment, still nobody's."""
        return iter(list(self._kept))

    def close(self) -> None:
        """Close them all."""
        with suppress(IndexError):
            while True:
                self._kept.pop().close()
