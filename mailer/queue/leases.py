"""What this process has taken and not yet settled."""

from __future__ import annotations

import itertools
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mailer.queue.bounds import LARGE_BYTES
from mailer.queue.fitness import Fitness
from mailer.queue.settlement import Settlement

SETTLEMENTS_AT_ONCE = 512
_LONGEST_WAY_US = 60_000_000
"""Longer than a lost call is on its way."""
REPEAT_SECONDS = 1.0
"""How long what Redis refused waits until Redis is told again."""


UNDECIDED = Settlement.hold(
    "Undecided", "Celery acknowledged it before anybody had said what became of it: it may have been sent."
)


@dataclass(slots=True)
class Lease:
    """One taken message. ``ends`` and ``asked_at``, when it was asked for, are on this machine's monotonic clock,
    ``taken_us`` is on Redis's, since the epoch."""

    lane: str
    ends: float
    taken_us: int = 0
    asked_at: float = 0.0
    started: bool = False
    decision: Settlement | None = None


@dataclass(slots=True)
class Doubt:
    """A call whose answer nobody will read. It may have taken messages, and may yet: it can still be on its way through
    a socket's buffer when the next connection is long open.

    Its tags are handed back at once, and once more when it can no longer take any.
    """

    tags: list[str]
    earliest_us: int | None
    latest_us: int | None
    due: float = 0.0

    def is_over(self, redis_us: int) -> bool:
        """Whether it can take no more at that time on Redis's clock.

        A clock that shows far less than when the call was sent was put back since. ``take.lua`` hands nothing to calls
        from the future, and none is on its way until that has come.
        """
        if self.earliest_us is None or self.latest_us is None:
            return True
        return not self.earliest_us - _LONGEST_WAY_US <= redis_us <= self.latest_us


@dataclass(frozen=True, slots=True)
class Call:
    """One call of take, from the moment it is sent until its answer is read.

    On Redis's clock it is sent at ``earliest_us`` or later, and must have arrived at ``latest_us`` to be given
    messages; None before that clock is known.
    """

    number: int
    wanted: int
    sent_at: float
    earliest_us: int | None = None
    latest_us: int | None = None
    settlements: list[tuple[str, Settlement]] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)

    @property
    def verdicts(self) -> list[tuple[str, Settlement]]:
        """All that it settles, in the order in which it goes out."""
        # Backwards: each goes to the head of its lane, and so they come to lie there in the order they were taken.
        backs = [pair for pair in self.settlements if pair[1].to_head]
        if backs:
            others = [pair for pair in self.settlements if not pair[1].to_head]
            backs.sort(key=_taken, reverse=True)
        else:
            others = self.settlements
        return [*others, *backs, *((tag, Settlement.back()) for doubt in self.doubts for tag in doubt.tags)]


def _taken(pair: tuple[str, Settlement]) -> tuple[int, ...]:
    """Sorts by the order in which messages were taken: the call, and the place in its answer."""
    return tuple(map(int, pair[0].split(":")[1:]))


class Leases:
    """The leases of this process on one account's messages, across reconnects. Thread-safe.

    A pool thread settles; the event loop sends the settlements with its next call. A settlement stays here until Redis
    has answered the call that carried it, and is sent again if the answer is lost: the script passes over tags that
    are settled already.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.owner = os.urandom(6).hex()
        self.wake: Callable[[], None] = lambda: None
        """Called from any thread when the outbox has something to flush, once until the next call takes it."""
        self.ask_ses: Callable[[], None] = lambda: None
        """Called, in the event loop's thread, when Redis has this process ask SES for the account's limits."""
        self._clock = clock
        self._woken = False
        self.makes_room = False
        """Among what waits to be sent is a settlement that lets another message be had with the same call: it gives a
        permit back, is of a suspect, or of a large one where another waits."""
        self.refusal = ""
        """Why Redis refuses this process, from when that was told until a call is answered; it outlives connections."""
        self._held: dict[str, Lease] = {}
        self._large: dict[str, int] = {}
        # Tags whose settlement copies a large message, and whether it has let a call pass that asks for others.
        self._heavy: set[str] = set()
        self._has_waited = False
        self._is_short = False
        self._suspects: set[str] = set()
        self._outbox: deque[tuple[str, Settlement]] = deque()
        self._unanswered: dict[int, Call] = {}
        self._doubts: list[Doubt] = []
        self._refused: deque[tuple[str, Settlement]] = deque()
        self._repeat_at = math.inf
        self._numbers = itertools.count(1)
        self.fitness = Fitness(clock)
        # Redis's clock less ours, in seconds: at most as much too large as an answer took, and as much too small.
        self._offset: float | None = None
        self._least_offset = 0.0
        # Held for calls and their answers, which the event loop and the last flush make. Settling needs none.
        self._lock = threading.Lock()

    @property
    def in_flight(self) -> int:
        """Messages taken and not settled by their task, and those sent of which Redis will not hear: while it ends no
        leases, no more are sent than fit."""
        return len(self._held) + sum(1 for _, settlement in tuple(self._refused) if settlement.verb == "sent")

    @property
    def large_bytes(self) -> int:
        """How many bytes the large messages have that this process holds."""
        return sum(tuple(self._large.values()))

    @property
    def repeats_in(self) -> float:
        """Seconds until what Redis refused is to be told again; infinite where nothing is."""
        return max(0.0, self._repeat_at - self._clock())

    @property
    def unsettled(self) -> bool:
        """Whether there is something to tell Redis now."""
        if self._outbox or self._repeat_at <= self._clock():
            return True
        return bool(self._doubts) and any(doubt.due <= self._clock() for doubt in list(self._doubts))

    @property
    def knows_the_time(self) -> bool:
        """Whether Redis has answered before, so that calls can say how late they may arrive."""
        return self._offset is not None

    def redis_time(self) -> float | None:
        """Redis's clock, epoch seconds, at most as much too late as an answer took; None before it has answered."""
        return None if self._offset is None else self._clock() + self._offset

    def call(self, wanted: int, within: float = 10.0) -> Call:
        """Begin a call: its number and what it settles. Its answer is waited for ``within`` so many seconds."""
        with self._lock:
            now = self._clock()
            # Before the outbox is emptied: what is settled meanwhile either goes along or wakes again.
            self._woken = self.makes_room = False
            if self._repeat_at <= now:
                self._outbox.extendleft(reversed(self._refused))
                self._refused.clear()
                self._repeat_at = math.inf
            settlements: list[tuple[str, Settlement]] = []
            while self._outbox and len(settlements) < SETTLEMENTS_AT_ONCE:
                settlements.append(self._outbox.popleft())
            if self._heavy:
                settlements = self._one_heavy(settlements, wanted)
            earliest_us = latest_us = None
            if self._offset is not None:
                earliest_us = math.floor((now + self._least_offset) * 1e6)
                latest_us = math.ceil((now + self._offset + within) * 1e6)
            doubts = [doubt for doubt in self._doubts if doubt.due <= now]
            call = Call(next(self._numbers), wanted, now, earliest_us, latest_us, settlements, doubts)
            self._unanswered[call.number] = call
            return call

    def _one_heavy(self, settlements: list[tuple[str, Settlement]], wanted: int) -> list[tuple[str, Settlement]]:
        """These without those that copy a large message, but for one: whatever is asked for with it comes late. So that
        one waits until others were asked for."""
        heavy = [pair for pair in settlements if pair[0] in self._heavy]
        if not heavy:
            return settlements
        self._has_waited = bool(wanted) and not self._has_waited
        going = 0 if self._has_waited else 1
        self._outbox.extendleft(reversed(heavy[going:]))
        return [pair for pair in settlements if pair[0] not in self._heavy] + heavy[:going]

    def answered(
        self,
        call: Call,
        lanes: list[str],
        lease_seconds: float,
        redis_us: int,
        refused: Sequence[str] = (),
        *,
        sizes: Sequence[int] = (),
        is_short: bool = False,
    ) -> list[str]:
        """The call was answered, at ``redis_us`` on Redis's clock, with messages of these lanes; returns their tags.

        ``refused`` are tags whose settlement Redis refused: it is told of them again. ``sizes`` are those of the
        messages, and ``is_short`` says that another one waits until a large one is settled.
        """
        with self._lock:
            if call.wanted:
                self._is_short = is_short
            if refused:
                again = set(refused)
                self._refused += [pair for pair in call.verdicts if pair[0] in again]
                self._repeat_at = min(self._repeat_at, self._clock() + REPEAT_SECONDS)
            self._unanswered.pop(call.number, None)
            if self._heavy:
                self._heavy -= {tag for tag, _ in call.settlements} - set(refused)
            self._offset = redis_us / 1e6 - call.sent_at
            self._least_offset = redis_us / 1e6 - self._clock()
            for doubt in call.doubts:
                if doubt.latest_us is None or doubt.is_over(redis_us):
                    self._doubts = [each for each in self._doubts if each is not doubt]
                else:
                    doubt.due = self._clock() + (doubt.latest_us - redis_us) / 1e6
        ends = call.sent_at + lease_seconds
        tags = [f"{self.owner}:{call.number}:{i}" for i in range(1, len(lanes) + 1)]
        for tag, lane in zip(tags, lanes, strict=True):
            self._held[tag] = Lease(lane, ends, redis_us, call.sent_at)
        self._large.update((tag, size) for tag, size in zip(tags, sizes, strict=False) if size > LARGE_BYTES)
        return tags

    def abandon(self, call: Call) -> None:
        """No answer will be read: settle again what the call carried, and hand back what it may have taken."""
        with self._lock:
            if self._unanswered.pop(call.number, None) is None:
                return
            self._outbox.extendleft(reversed(call.settlements))
            # Backwards, so that they come to lie at the head of their lanes in the order they were taken.
            tags = [f"{self.owner}:{call.number}:{i}" for i in range(call.wanted, 0, -1)]
            if tags:
                self._doubts.append(Doubt(tags, call.earliest_us, call.latest_us))

    def abandon_all(self) -> None:
        """The connection is gone, and with it the answers to every call."""
        for call in list(self._unanswered.values()):
            self.abandon(call)

    def holds(self, tag: str) -> bool:
        return tag in self._held

    def ends(self, tag: str) -> float:
        """When the lease of ``tag`` ends, on this machine's monotonic clock."""
        return self._held[tag].ends

    def lease(self, tag: str) -> Lease | None:
        """The lease of ``tag``, until it is settled."""
        return self._held.get(tag)

    @property
    def holds_suspect(self) -> bool:
        """Whether one of the messages was held by a worker that was lost: one such at a time is enough."""
        return bool(self._suspects)

    def suspect(self, tag: str) -> None:
        """A worker was lost while it held this message."""
        self._suspects.add(tag)

    def start(self, tag: str) -> None:
        """Its task has begun: from now on it may have been sent."""
        lease = self._held.get(tag)
        if lease is not None:
            lease.started = True

    def acknowledge(self, tag: str) -> None:
        """The message is done with, as decided."""
        lease = self._held.get(tag)
        if lease is not None:
            self.settle(tag, UNDECIDED)

    def decide(self, tag: str, settlement: Settlement) -> None:
        """What the acknowledgement of ``tag`` will mean; the first decision stands."""
        lease = self._held.get(tag)
        if lease is not None and lease.decision is None:
            lease.decision = settlement

    def settle(self, tag: str, otherwise: Settlement) -> None:
        """The message is done with: as decided, or ``otherwise``."""
        lease = self._held.pop(tag, None)
        if lease is not None:
            settlement = lease.decision or otherwise
            was_large = self._large.pop(tag, None) is not None
            if was_large and settlement.verb not in ("sent", "forget"):
                self._heavy.add(tag)
            self._outbox.append((tag, settlement))
            if settlement.permit_back or tag in self._suspects or (was_large and self._is_short):
                self._suspects.discard(tag)
                self.makes_room = True
            if not self._woken:
                self._woken = True
                self.wake()

    def hand_back_unstarted(self) -> None:
        """Return every message whose task has not begun to the head of its lane."""
        for tag in [tag for tag, lease in list(self._held.items()) if not lease.started]:
            self.settle(tag, Settlement.back())
