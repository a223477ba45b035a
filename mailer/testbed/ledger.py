"""The accounts of the mail: accepted from producers, arrived at SES, and in Redis between the two."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import redis

from mailer.queue.keys import Keys
from mailer.simulator.client import Simulator
from mailer.simulator.inbox import Row

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


class Arrivals:
    """The mail that SES accepted: the simulator's rows. Each `read` adds the new ones."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self.rows: list[Row] = []
        self.times: Counter[str] = Counter()
        """Message id -> number of times that SES accepted it."""
        self.first_at: dict[str, float] = {}

    def read(self) -> None:
        """Read the rows that are new since the last call."""
        for row in self._simulator.rows(len(self.rows)):
            self.rows.append(row)
            self.times[row.message_id] += 1
            self.first_at.setdefault(row.message_id, row.at)

    def rate(self, now: float, window: float = 1.0) -> float:
        """Sends per second in the last ``window`` seconds."""
        count = 0
        for row in reversed(self.rows):
            if row.at <= now - window:
                break
            count += row.at <= now
        return count / window

    def rate_with_backlog(self, backlog: Collection[str]) -> float:
        """Sends of any messages per second, from the first to the last send of ``backlog``."""
        times = [row.at for row in self.rows if row.message_id in backlog]
        if len(times) < 2 or times[-1] == times[0]:
            return 0.0
        return sum(times[0] < row.at <= times[-1] for row in self.rows) / (times[-1] - times[0])

    def lost(self, expected: Iterable[str]) -> list[str]:
        """The messages of ``expected`` that SES never accepted."""
        return [message_id for message_id in expected if message_id not in self.times]

    def doubled(self) -> dict[str, int]:
        """Message id -> number of times, for messages that SES accepted more than once."""
        return {message_id: count for message_id, count in self.times.items() if count > 1}

    def latencies(self, enqueued: Mapping[str, float]) -> list[tuple[float, float]]:
        """(time of enqueueing, seconds until SES accepted it) for each accepted message, oldest first."""
        return sorted(
            (called, self.first_at[message_id] - called)
            # A copy: the sending thread adds to it.
            for message_id, called in list(enqueued.items())
            if message_id in self.first_at
        )

    def throttled(self) -> tuple[int, int]:
        """The number of sends refused as over the rate or the quota, and the most accepted in one second."""
        stats = self._simulator.stats()
        regions: list[dict[str, Any]] = list(stats["regions"].values())
        refused = sum(stats["refused"].get(kind, 0) for kind in ("rate", "quota"))
        return refused, max((region["most_in_one_second"] for region in regions), default=0)


@dataclass(slots=True)
class Places:
    """The messages of one account at one instant: for each place in Redis, the count of each id."""

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
            for key in (keys.lane(lane), keys.suspects(lane), keys.large(lane)):
                pipe.lrange(key, 0, -1)
        pipe.hvals(keys.leased)
        pipe.zrange(keys.schedule, 0, -1)
        for shelf in SHELVES:
            pipe.hvals(keys.aside(shelf))
        found = pipe.execute()
    waiting = [name for lane in lanes for name in (lane, f"suspects of {lane}", f"large ones of {lane}")]
    names = [*waiting, "leased", "schedule", *SHELVES]
    return Places({name: Counter(map(id_in, raw)) for name, raw in zip(names, found, strict=True)})


def reasons(client: redis.Redis, keys: Keys) -> Counter[str]:
    """The reasons of the messages on the shelves: the number for each ``shelf lane code``."""
    found: Counter[str] = Counter()
    for shelf in SHELVES:
        stored: Any = client.hvals(keys.aside(shelf))
        for each in stored:
            reason = json.loads(each.split(b"\n", 1)[0])
            found[f"{shelf} {reason['lane']} {reason['code']}"] += 1
    return found


def id_in(stored: bytes) -> str:
    """The id of a message as Redis stores it, in any place."""
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


def settle_account(ledger: Ledger, arrivals: Arrivals, places: Places) -> Account:
    """Compare the ledger, the mail that arrived, and the places."""
    arrivals.read()
    known, deliveries, total = ledger.accepted, arrivals.times, places.total
    to = {row.message_id: row.recipient for row in arrivals.rows}
    twice: Counter[str] = Counter()
    for message, count in deliveries.items():
        twice[known.get(message, "doubtful")] += count - 1
    return Account(
        accepted=len(known),
        sent=len(deliveries),
        lost=sorted(each for each in arrivals.lost(known) if not total[each]),
        twice={lane: count for lane, count in twice.items() if count},
        held=len(places["held"]),
        held_and_sent=sum(1 for each in places["held"] if deliveries[each]),
        dead=len(places["dead"]),
        dead_and_sent=sum(1 for each in places["dead"] if deliveries[each]),
        waiting=places.waiting,
        in_two_places=len(places.in_two_places),
        doubtful=len(ledger.doubtful),
        doubtful_sent=len(ledger.doubtful.intersection(to.values())),
        strangers=sum(1 for each in deliveries if each not in known and to[each] not in ledger.doubtful),
    )
