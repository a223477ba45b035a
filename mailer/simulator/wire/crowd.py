"""Limits the number of connections and closes idle ones."""

from __future__ import annotations

import asyncio
import logging
from operator import itemgetter
from typing import Protocol

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0


class Guest(Protocol):
    """A connection's protocol."""

    @property
    def waiting_since(self) -> float | None:
        """Since when it waits for a request or the rest of its head, in the loop's time. None if it does not wait."""

    def is_overdue(self, now: float) -> bool:
        """Whether the connection has waited too long for its client."""

    def leave(self) -> None:
        """Close the connection."""


class Crowd:
    """At most ``most`` connections of one kind. The one that has waited longest makes room for the next.

    ``tells``: the log reports the limit once.
    """

    def __init__(self, most: int, *, tells: bool = True) -> None:
        self.most = most
        self._guests: set[Guest] = set()
        self._told = not tells

    def __len__(self) -> int:
        return len(self._guests)

    def admit(self, guest: Guest) -> bool:
        """False if all the others are busy. A guest that is already in may ask again."""
        if guest in self._guests:
            return True
        if len(self._guests) >= self.most:
            if not self._told:
                self._told = True
                _log.warning("%s connections are open, which is all there is room for (--connections)", self.most)
            waiting = [(since, each) for each in self._guests if (since := each.waiting_since) is not None]
            if not waiting:
                return False
            _, longest = min(waiting, key=itemgetter(0))
            self._guests.discard(longest)
            longest.leave()
        self._guests.add(guest)
        return True

    def gone(self, guest: Guest) -> None:
        self._guests.discard(guest)

    async def keep_moving(self) -> None:
        """Close overdue connections, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = loop.time()
            for guest in [each for each in self._guests if each.is_overdue(now)]:
                guest.leave()
