"""Connections kept open for the next send."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Generic, Protocol, TypeVar


class Connection(Protocol):
    """The interface of a connection that `Idle` can keep."""

    def is_stale(self) -> bool: ...
    def close(self) -> None: ...


C = TypeVar("C", bound=Connection)


class Idle(Generic[C]):
    """The idle connections. Thread-safe.

    Last in, first out: at low rates sends use the few warm connections, and the others age out.
    """

    def __init__(self) -> None:
        self._kept: deque[C] = deque()

    def release(self, connection: C, *, usable: bool) -> None:
        """Keep ``connection`` for the next send if it is ``usable``, else close it. The caller must not use it any
        more.
        """
        if usable:
            self._kept.append(connection)
        else:
            connection.close()

    def warm(self) -> C | None:
        """A usable connection, which then belongs to the caller, or None. Closes the stale ones it meets."""
        try:
            while (connection := self._kept.pop()).is_stale():
                connection.close()
        except IndexError:
            return None
        return connection

    def look_at(self, connection: C) -> None:
        """Close ``connection`` if it is kept here and stale."""
        try:
            self._kept.remove(connection)
        except ValueError:
            return
        self.release(connection, usable=not connection.is_stale())

    def __iter__(self) -> Iterator[C]:
        """The connections kept at this moment. They stay here."""
        return iter(list(self._kept))

    def close(self) -> None:
        """Close all connections."""
        with suppress(IndexError):
            while True:
                self._kept.pop().close()
