"""Who is connected: no more than there is room for, and none for ever that does not ask for anything."""

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
        """Since when it waits for a request or the rest of its head, on the loop's clock; None if it does not."""

    def is_overdue(self, now: float) -> bool:
        """Whether its client has kept it waiting for too long."""

    def leave(self) -> None:
        """Close the connection."""


class Crowd:
    """At most ``most`` connections of one kind. The one that waited for longest makes room for the next.

    ``tells``: the log says so once.
    """

    def __init__(self, most: int, *, tells: bool = True) -> None:
        self.most = most
        self._guests: set[Guest] = set()
        self._told = not tells

    def __len__(self) -> int:
        return len(self._guests)

    def admit(self, guest: Guest) -> bool:
        """False where all the others are busy. One that is in may ask again."""
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
        """Send away who keeps us waiting, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = loop.time()
            for guest in [each for each in self._guests if each.is_overdue(now)]:
                guest.leave()
