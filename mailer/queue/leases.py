"""The messages that this process has taken and not yet settled."""

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
"""A lost call is on its way for less than this."""
REPEAT_SECONDS = 1.0
"""How long a settlement that Redis refused waits until it is sent again."""


UNDECIDED = Settlement.hold(
    "Undecided", "Celery acknowledged it before anybody had said what became of it: it may have been sent."
)


@dataclass(slots=True)
class Lease:
    """One taken message.

    ``ends`` is when the lease ends, ``asked_at`` when the call was sent that took it: both on this machine's monotonic
    clock. ``taken_us`` is the time of the take on Redis's clock, epoch microseconds.
    """

    lane: str
    ends: float
    taken_us: int = 0
    asked_at: float = 0.0
    started: bool = False
    decision: Settlement | None = None


@dataclass(slots=True)
class Doubt:
    """A call of take whose answer was lost.

    It may already have taken messages. It may also still arrive: a socket's buffer can hold it long after the next
    connection was opened. So its tags are handed back now, and once more when the call can no longer take messages.
    """

    tags: list[str]
    earliest_us: int | None
    latest_us: int | None
    due: float = 0.0

    def is_over(self, redis_us: int) -> bool:
        """Whether the call can no longer take messages at ``redis_us``, a time on Redis's clock.

        If that clock shows far less than when the call was sent, it was put back since. ``take.lua`` hands nothing to a
        call from the future, and no call is still on its way when that future comes.
        """
        if self.earliest_us is None or self.latest_us is None:
            return True
        return not self.earliest_us - _LONGEST_WAY_US <= redis_us <= self.latest_us


@dataclass(frozen=True, slots=True)
class Call:
    """One call of take, from when it is sent until its answer is read.

    ``earliest_us`` and ``latest_us`` are on Redis's clock; None before that clock is known. The call is sent at
    ``earliest_us`` or later. It is given messages only if it arrives by ``latest_us``.
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
        """All settlements of the call, in the order in which they are sent."""
        # Each goes to the head of its lane. So the last taken goes first, and the lane keeps the order of taking.
        backs = [pair for pair in self.settlements if pair[1].to_head]
        if backs:
            others = [pair for pair in self.settlements if not pair[1].to_head]
            backs.sort(key=_taken, reverse=True)
        else:
            others = self.settlements
        return [*others, *backs, *((tag, Settlement.back()) for doubt in self.doubts for tag in doubt.tags)]


def _taken(pair: tuple[str, Settlement]) -> tuple[int, ...]:
    """A sort key for the order in which messages were taken: the call, and the place in its answer."""
    return tuple(map(int, pair[0].split(":")[1:]))


class Leases:
    """The leases of this process on one account's messages, across reconnects. Thread-safe.

    A pool thread settles a message. The event loop sends the settlement with its next call. The settlement stays here
    until Redis answers that call. If the answer is lost, it is sent again: the script passes over settled tags.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.owner = os.urandom(6).hex()
        self.wake: Callable[[], None] = lambda: None
        """Called from any thread when the outbox has something to send. It is called once, until the next call."""
        self.ask_ses: Callable[[], None] = lambda: None
        """Called in the event loop's thread when this process should ask SES for the account's limits."""
        self._clock = clock
        self._woken = False
        self.makes_room = False
        """Whether a settlement in the outbox lets the same call take another message: it gives a permit back, or is of
        a suspect, or is of a large message while another large one waits."""
        self.refusal = ""
        """Why Redis refuses this process: set until a call is answered. It outlives connections."""
        self._held: dict[str, Lease] = {}
        self._large: dict[str, int] = {}
        # Tags whose settlement makes Redis copy a large message; and whether they waited for one call for messages.
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
        # Redis's clock minus ours, in seconds. The first is too large by at most the time an answer took, the second
        # too small by at most that time.
        self._offset: float | None = None
        self._least_offset = 0.0
        # Held for calls and their answers: both the event loop and the last flush make calls. Settling needs no lock.
        self._lock = threading.Lock()

    @property
    def in_flight(self) -> int:
        """Messages that were taken and not settled by their task, and sent ones whose settlement Redis refuses.

        So while Redis ends no leases, this process does not send more messages than it may hold.
        """
        return len(self._held) + sum(1 for _, settlement in tuple(self._refused) if settlement.verb == "sent")

    @property
    def large_bytes(self) -> int:
        """Total bytes of the large messages that this process holds."""
        return sum(tuple(self._large.values()))

    @property
    def repeats_in(self) -> float:
        """Seconds until settlements that Redis refused are sent again; infinite without such settlements."""
        return max(0.0, self._repeat_at - self._clock())

    @property
    def unsettled(self) -> bool:
        """Whether there is a settlement to send now."""
        if self._outbox or self._repeat_at <= self._clock():
            return True
        return bool(self._doubts) and any(doubt.due <= self._clock() for doubt in list(self._doubts))

    @property
    def knows_the_time(self) -> bool:
        """Whether Redis has answered before. Only then calls can carry the time until which they are valid."""
        return self._offset is not None

    def redis_time(self) -> float | None:
        """Redis's clock, epoch seconds; None before it has answered. Too late by at most the time an answer took."""
        return None if self._offset is None else self._clock() + self._offset

    def call(self, wanted: int, within: float = 10.0) -> Call:
        """Begin a call for ``wanted`` messages, with settlements to send. Its answer must come ``within`` seconds."""
        with self._lock:
            now = self._clock()
            # Before the outbox is emptied: so a settlement made meanwhile either goes along or wakes the loop again.
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
        """``settlements`` with at most one that makes Redis copy a large message. The others go back to the outbox.

        Such a copy delays the messages that the same call takes. So it waits for one call that takes messages, and goes
        along with the next call.
        """
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
        """Note the answer to ``call``, and return the tags of its messages, one for each of ``lanes``.

        ``redis_us`` is the time of the answer on Redis's clock. ``refused`` are tags whose settlement Redis refused:
        these are sent again. ``sizes`` are the messages' bytes. ``is_short``: another message waits until this process
        has settled a large one.
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
        """The answer to ``call`` is lost: send its settlements again, and hand back messages it may have taken."""
        with self._lock:
            if self._unanswered.pop(call.number, None) is None:
                return
            self._outbox.extendleft(reversed(call.settlements))
            # The last tag first: each goes to the head of its lane, so the lane keeps the order of taking.
            tags = [f"{self.owner}:{call.number}:{i}" for i in range(call.wanted, 0, -1)]
            if tags:
                self._doubts.append(Doubt(tags, call.earliest_us, call.latest_us))

    def abandon_all(self) -> None:
        """The connection is gone: the answers to all calls are lost."""
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
        """Whether this process holds a suspect: a message whose earlier worker was lost. It may hold only one."""
        return bool(self._suspects)

    def suspect(self, tag: str) -> None:
        """The message is a suspect: a worker was lost while it held it."""
        self._suspects.add(tag)

    def start(self, tag: str) -> None:
        """The message's task has begun: from now on the message may have been sent."""
        lease = self._held.get(tag)
        if lease is not None:
            lease.started = True

    def acknowledge(self, tag: str) -> None:
        """Settle the message as decided; without a decision as `UNDECIDED`."""
        lease = self._held.get(tag)
        if lease is not None:
            self.settle(tag, UNDECIDED)

    def decide(self, tag: str, settlement: Settlement) -> None:
        """Decide the settlement that the acknowledgement of ``tag`` will make. The first decision stands."""
        lease = self._held.get(tag)
        if lease is not None and lease.decision is None:
            lease.decision = settlement

    def settle(self, tag: str, otherwise: Settlement) -> None:
        """Settle the message as decided; without a decision as ``otherwise``."""
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
