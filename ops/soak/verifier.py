"""The verifier. It compares the messages that the queue accepted, those that SES accepted, and those in between."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import redis

from mailer.queue.keys import Keys
from mailer.simulator.client import Simulator

SHELVES = ("dead", "held")


@dataclass(slots=True)
class Ledger:
    """The producers' knowledge. Thread-safe."""

    accepted: dict[str, str] = field(default_factory=dict)
    """The lane of every message whose acceptance was confirmed, by id."""
    doubtful: set[str] = field(default_factory=set)
    """The recipients of calls with an error after which the message may have been accepted."""
    refused: int = 0
    """The number of messages in calls with an error after which surely nothing was accepted."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def accept(self, lane: str, ids: Iterable[str]) -> None:
        with self._lock:
            self.accepted.update(dict.fromkeys(ids, lane))

    def doubt(self, recipients: Iterable[str]) -> None:
        with self._lock:
            self.doubtful.update(recipients)

    def refuse(self, count: int) -> None:
        with self._lock:
            self.refused += count


@dataclass(slots=True)
class Places:
    """The messages of one account at one instant: for each place, the count of each id."""

    places: dict[str, Counter[str]]

    def __getitem__(self, place: str) -> Counter[str]:
        return self.places[place]

    @property
    def total(self) -> Counter[str]:
        return sum(self.places.values(), Counter())

    @property
    def in_two_places(self) -> list[str]:
        return [message for message, count in self.total.items() if count > 1]

    @property
    def waiting(self) -> int:
        """The number of messages that are not at rest: queued, scheduled or leased."""
        return sum(sum(ids.values()) for place, ids in self.places.items() if place not in SHELVES)


def look(client: redis.Redis, keys: Keys, lanes: Iterable[str]) -> Places:
    """Read every place at one instant. Raises redis-py's errors."""
    lanes = tuple(lanes)
    with client.pipeline(transaction=True) as pipe:
        for lane in lanes:
            pipe.lrange(keys.lane(lane), 0, -1)
            pipe.lrange(keys.suspects(lane), 0, -1)
            pipe.lrange(keys.large(lane), 0, -1)
        pipe.hvals(keys.leased)
        pipe.zrange(keys.schedule, 0, -1)
        for shelf in SHELVES:
            pipe.hvals(keys.aside(shelf))
        found = pipe.execute()
    waiting = [name for lane in lanes for name in (lane, f"suspects of {lane}", f"large ones of {lane}")]
    names = [*waiting, "leased", "schedule", *SHELVES]
    return Places({name: Counter(map(_id, raw)) for name, raw in zip(names, found, strict=True)})


def reasons(client: redis.Redis, keys: Keys) -> Counter[str]:
    """The reasons of the messages on the shelves: the number for each ``shelf lane code``."""
    found: Counter[str] = Counter()
    for shelf in SHELVES:
        for stored in client.hvals(keys.aside(shelf)):
            reason = json.loads(stored.split(b"\n", 1)[0])
            found[f"{shelf} {reason['lane']} {reason['code']}"] += 1
    return found


def _id(stored: bytes) -> str:
    # A line feed ends the text that the broker writes before an envelope. An envelope contains no line feed.
    message_id: str = json.loads(stored.rsplit(b"\n", 1)[-1])["headers"]["id"]
    return message_id


@dataclass(frozen=True, slots=True)
class Account:
    """The fate of every message, once all are at rest."""

    accepted: int
    sent: int
    """The number of different messages that SES accepted."""
    lost: list[str]
    twice: dict[str, int]
    """For each lane, the deliveries beyond the first of each message."""
    held: int
    held_and_sent: int
    dead: int
    dead_and_sent: int
    waiting: int
    in_two_places: int
    doubtful: int
    doubtful_sent: int
    strangers: int
    """The messages that SES accepted and no producer enqueued."""


def settle_account(ledger: Ledger, simulator: Simulator, places: Places) -> Account:
    """Compare the ledger, the simulator's mails and the places."""
    deliveries: Counter[str] = Counter()
    to: dict[str, str] = {}
    for row in simulator.rows():
        deliveries[row.message_id] += 1
        to[row.message_id] = row.recipient
    total = places.total
    known = ledger.accepted
    strangers = [each for each in deliveries if each not in known and to[each] not in ledger.doubtful]
    twice: Counter[str] = Counter()
    for message, count in deliveries.items():
        twice[known.get(message, "doubtful")] += count - 1
    return Account(
        accepted=len(known),
        sent=len(deliveries),
        lost=sorted(each for each in known if not deliveries[each] and not total[each]),
        twice={lane: count for lane, count in twice.items() if count},
        held=len(places["held"]),
        held_and_sent=sum(1 for each in places["held"] if deliveries[each]),
        dead=len(places["dead"]),
        dead_and_sent=sum(1 for each in places["dead"] if deliveries[each]),
        waiting=places.waiting,
        in_two_places=len(places.in_two_places),
        doubtful=len(ledger.doubtful),
        doubtful_sent=len(ledger.doubtful.intersection(to.values())),
        strangers=len(strangers),
    )
