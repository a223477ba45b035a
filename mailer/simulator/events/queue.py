"""A queue that works as in SQS: a received message is hidden for a while, then returns unless it was deleted."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from mailer.simulator.clock import Clock

_LOOK_AGAIN_SECONDS = 0.1
_DEFAULT_VISIBILITY_SECONDS = 30.0
_MOST_BYTES = 64 * 1024 * 1024


class Item:
    """One message. ``body`` may be a function, called at the first receive: a signature costs a millisecond."""

    __slots__ = ("_body", "first_received_at", "id", "receipt", "received", "sent_at", "size", "visible_at")

    def __init__(self, message_id: str, body: str | Callable[[], str], size: int, at: float) -> None:
        self.id = message_id
        self._body = body
        self.size = size
        self.sent_at = at
        self.visible_at = at
        self.received = 0
        self.first_received_at: float | None = None
        self.receipt = ""

    @property
    def body(self) -> str:
        if not isinstance(self._body, str):
            self._body = self._body()
        return self._body


class Queue:
    """At most ``keep`` messages, and at most 64 MB. The oldest make room.

    Times are the account's: advancing its clock makes hidden messages visible.
    """

    def __init__(self, name: str, clock: Clock, random: Random, keep: int) -> None:
        self.name = name
        self.visibility_seconds = _DEFAULT_VISIBILITY_SECONDS
        self.wait_seconds = 0.0
        self.attributes: dict[str, str] = {}
        """Other attributes that a client set. They are only returned."""
        self.created_at = clock.now()
        self.dropped = 0
        self._clock = clock
        self._random = random
        self._keep = keep
        self._items: OrderedDict[str, Item] = OrderedDict()
        self._bytes = 0
        self._arrivals: set[asyncio.Event] = set()
        self._is_deleted = False

    def put(self, body: str | Callable[[], str], size: int) -> Item:
        """``size`` is the approximate size of the body in characters."""
        item = Item(_uuid(self._random), body, size, self._clock.now())
        self._items[item.id] = item
        self._bytes += size
        while len(self._items) > max(1, self._keep) or self._bytes > _MOST_BYTES:
            self._bytes -= self._items.popitem(last=False)[1].size
            self.dropped += 1
        for arrival in self._arrivals:
            arrival.set()
        return item

    async def receive(self, most: int, visibility_seconds: float | None, wait_seconds: float) -> list[Item]:
        """Up to ``most`` visible messages. Waits up to ``wait_seconds`` (real time) for the first."""
        visibility = self.visibility_seconds if visibility_seconds is None else visibility_seconds
        found = self._take(most, visibility)
        if found or wait_seconds <= 0:
            return found
        arrival = asyncio.Event()
        self._arrivals.add(arrival)
        loop = asyncio.get_running_loop()
        end = loop.time() + wait_seconds
        try:
            while not found and not self._is_deleted and (left := end - loop.time()) > 0:
                # A hidden message returns without a signal, and the clock may jump.
                with suppress(TimeoutError):
                    await asyncio.wait_for(arrival.wait(), min(left, _LOOK_AGAIN_SECONDS))
                arrival.clear()
                found = self._take(most, visibility)
        finally:
            self._arrivals.discard(arrival)
        return found

    def _take(self, most: int, visibility: float) -> list[Item]:
        now = self._clock.now()
        found: list[Item] = []
        for item in self._items.values():
            if item.visible_at <= now:
                item.visible_at = now + visibility
                item.received += 1
                item.first_received_at = item.first_received_at or now
                item.receipt = f"{item.id}:{item.received}:{self._random.getrandbits(64):016x}"
                found.append(item)
                if len(found) == most:
                    break
        return found

    def delete(self, receipt: str) -> bool:
        """Whether ``receipt`` belongs to this queue. Deleting twice is fine, and so is an older receipt."""
        message_id, colon, _ = receipt.partition(":")
        if not colon:
            return False
        item = self._items.pop(message_id, None)
        self._bytes -= item.size if item is not None else 0
        return True

    def hide(self, receipt: str, seconds: float) -> bool:
        """Hide a received message for ``seconds`` from now. 0 shows it at once."""
        item = self._items.get(receipt.partition(":")[0])
        if item is None or item.receipt != receipt:
            return False
        item.visible_at = self._clock.now() + seconds
        return True

    def delete_all(self) -> None:
        """Delete the queue. Waiting receivers get nothing. Their next call goes to the next queue of this name."""
        self._is_deleted = True
        self.purge()
        for arrival in self._arrivals:
            arrival.set()

    def purge(self) -> None:
        self._items.clear()
        self._bytes = 0

    def counts(self) -> tuple[int, int]:
        """How many messages are visible, and how many hidden."""
        now = self._clock.now()
        visible = sum(item.visible_at <= now for item in self._items.values())
        return visible, len(self._items) - visible

    def to_json(self) -> dict[str, Any]:
        visible, hidden = self.counts()
        return {"name": self.name, "visible": visible, "hidden": hidden, "dropped": self.dropped}


def _uuid(random: Random) -> str:
    noise = f"{random.getrandbits(128):032x}"
    return f"{noise[:8]}-{noise[8:12]}-{noise[12:16]}-{noise[16:20]}-{noise[20:]}"
