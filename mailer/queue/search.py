"""Find messages by id or recipient: waiting in their lane, leased to a worker, scheduled, or set aside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import redis

from mailer.queue import layout
from mailer.queue.keys import Keys
from mailer.queue.number import number_or
from mailer.queue.records import normalised
from mailer.queue.scan import Progress, scan
from mailer.queue.stored_message import StoredMessage

PlaceName = Literal["waiting", "leased", "scheduled", "dead", "held"]

_SHELVES: tuple[Literal["dead", "held"], ...] = ("dead", "held")
_ESCAPED = frozenset('"\\/')
"""JSON may escape these characters with a backslash alone. It may escape other printable ASCII only by number."""


class Addressee:
    """Matches messages by recipient: one address, or with ``@example.com`` a whole domain, in any spelling.

    ``texts``: the envelope of each such message contains at least one of them, in lower or upper case.
    """

    def __init__(self, to: str) -> None:
        self._is_domain = to.startswith("@")
        self._wanted = normalised(f"all{to}")[len("all") :] if self._is_domain else normalised(to)
        known = self._wanted if self._is_domain else self._wanted[: self._wanted.rfind("@") + 1]
        # A message may have a Punycode domain in its own letters. Stock Celery writes bodies in base64.
        is_plain = known.isascii() and _ESCAPED.isdisjoint(known) and "@xn--" not in known and ".xn--" not in known
        self.texts = [known, '"base64"', "\\u00"] if is_plain else [""]

    def has(self, message: StoredMessage) -> bool:
        small = message.envelope.lower()
        # Parsing a message takes as long as a dozen searches of its bytes.
        if not any(text.encode() in small for text in self.texts) or not message.to:
            return False
        to = normalised(message.to)
        return to.endswith(self._wanted) if self._is_domain else to == self._wanted


@dataclass(frozen=True, repr=False)
class Found(StoredMessage):
    """One message and its place.

    ``at`` is in epoch seconds: when its lease ends (``leased``), when it is due (``scheduled``), or when it was set
    aside (``dead``, ``held``). It is None while the message waits in its lane. ``code`` and ``words`` say why it was
    set aside.
    """

    place: PlaceName
    lane: str
    at: float | None
    name: str = ""
    code: str = ""
    words: str = ""

    @property
    def id(self) -> str:
        """The message's id; if it cannot be read, the name under which the message was set aside."""
        return super().id or self.name


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Searches one account's places. Changes nothing; raises redis-py's errors.

    ``progress`` is called with the number of messages read. A message that moves from one place to another meanwhile
    may be missed, or found in both.
    """

    client: redis.Redis
    keys: Keys
    lanes: Sequence[str]
    progress: Progress | None = None

    def of(self, message_id: str) -> Found | None:
        """The message and its place; None if it is nowhere (any more)."""
        for shelf in _SHELVES:
            stored = self.client.hget(self.keys.aside(shelf), message_id)
            if isinstance(stored, bytes):
                return self._on_shelf(shelf, message_id.encode(), stored)
        return next((found for found in self.everywhere([message_id]) if found.id == message_id), None)

    def to(self, address: str) -> Iterator[Found]:
        """The messages to an address, in all places. Reads every message."""
        addressee = Addressee(address)
        seen: set[bytes] = set()
        for found in self.everywhere(addressee.texts):
            if found.envelope not in seen and addressee.has(found):
                seen.add(found.envelope)
                yield found

    def everywhere(self, texts: Sequence[str]) -> Iterator[Found]:
        """Search the places in the direction in which messages move, so that a moving message is met again."""
        keys = self.keys
        for due, stored in scan(self.client, keys.schedule, "zset", texts, self.progress):
            _, its_lane, envelope = layout.scheduled(stored)
            yield Found(envelope, "scheduled", its_lane, _seconds(due))
        for lane in self.lanes:
            for place in reversed(keys.lists_of(lane)):
                for _, envelope in scan(self.client, place, "list", texts, self.progress):
                    yield Found(envelope, "waiting", lane, None)
        for tag, stored in scan(self.client, keys.leased, "hash", texts, self.progress):
            its_lane, envelope = layout.leased(stored)
            ends = self.client.zscore(keys.leases, tag)
            yield Found(envelope, "leased", its_lane, _seconds(ends))
        for shelf in _SHELVES:
            for name, stored in scan(self.client, keys.aside(shelf), "hash", texts, self.progress):
                yield self._on_shelf(shelf, name, stored)

    @staticmethod
    def _on_shelf(shelf: Literal["dead", "held"], name: bytes, stored: bytes) -> Found:
        why, envelope = layout.set_aside(stored)
        its_name = name.decode(errors="replace")
        return Found(envelope, shelf, why.lane, why.at.timestamp(), its_name, why.code, why.detail)


def _seconds(score: bytes | float | None) -> float | None:
    us = number_or(None, score)
    return None if us is None else us / 1e6
