"""The messages that this process has taken and not yet settled."""

from __future__ import annotations

import itertools
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import redis

from mailer.queue.bounds import LARGE_BYTES
from mailer.queue.fitness import Fitness
from mailer.queue.settlement import Settlement
from mailer.queue.take import Answer, Call, Take

SETTLEMENTS_AT_ONCE = 512
REPEAT_SECONDS = 1.0
"""How long a settlement that Redis refused waits until it is sent again."""


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
        # Calls whose answers are lost. The tags that they may have taken are handed back now, and when they are over.
        self._lost: list[Call] = []
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
    def repeats_in(self) -> float:
        """Seconds until settlements that Redis refused are sent again; infinite without such settlements."""
        return max(0.0, self._repeat_at - self._clock())

    @property
    def unsettled(self) -> bool:
        """Whether there is a settlement to send now."""
        if self._outbox or self._repeat_at <= self._clock():
            return True
        return any(lost.again_at <= self._clock() for lost in tuple(self._lost))

    def redis_time(self) -> float | None:
        """Redis's clock, epoch seconds; None before it has answered. Too late by at most the time an answer took.

        Only once it is known, calls can carry the time until which they are valid.
        """
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
            lost = [each for each in self._lost if each.again_at <= now]
            call = Call(
                *(self.owner, next(self._numbers), wanted, now, earliest_us, latest_us, settlements, lost),
                holds_suspect=bool(self._suspects),
                large_bytes=sum(tuple(self._large.values())),
                may_ask=self.fitness.may_ask,
            )
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

    def answered(self, call: Call, answer: Answer, lease_seconds: float) -> list[str]:
        """Note the answer to ``call``, and return the tags of its messages. Refused settlements are sent again."""
        with self._lock:
            if call.wanted:
                self._is_short = answer.is_short
            if answer.refused:
                self._refused += [pair for pair in call.verdicts if pair[0] in answer.refused]
                self._repeat_at = min(self._repeat_at, self._clock() + REPEAT_SECONDS)
            self._unanswered.pop(call.number, None)
            if self._heavy:
                self._heavy -= {tag for tag, _ in call.settlements} - answer.refused
            self._offset = answer.redis_us / 1e6 - call.sent_at
            self._least_offset = answer.redis_us / 1e6 - self._clock()
            for lost in call.lost:
                seconds = lost.may_take_for(answer.redis_us)
                lost.again_at = self._clock() + seconds
                if seconds < 0:
                    self._lost = [each for each in self._lost if each is not lost]
        ends = call.sent_at + lease_seconds
        tags = call.tags(len(answer.lanes))
        for tag, lane, size in zip(tags, answer.lanes, answer.sizes, strict=True):
            self._held[tag] = Lease(lane, ends, answer.redis_us, call.sent_at)
            if size > LARGE_BYTES:
                self._large[tag] = size
        return tags

    def ask(self, client: redis.Redis, take: Take, wanted: int, served: Collection[str]) -> tuple[Answer, list[str]]:
        """Call take and wait; returns the answer and the tags of its messages. Raises redis-py's errors."""
        call = self.call(wanted)
        try:
            answer = take.run(client, call, served)
        except BaseException:
            self.abandon(call)
            raise
        return answer, self.answered(call, answer, take.rules.lease_seconds)

    def settle_all(self, client: redis.Redis, take: Take) -> None:
        """Send every settlement, and take nothing. Raises redis-py's errors."""
        while self.unsettled:
            self.ask(client, take, 0, ())

    def abandon(self, call: Call) -> None:
        """The answer to ``call`` is lost: send its settlements again, and hand back messages it may have taken."""
        with self._lock:
            if self._unanswered.pop(call.number, None) is None:
                return
            self._outbox.extendleft(reversed(call.settlements))
            if call.wanted:
                self._lost.append(replace(call, settlements=[], lost=[]))

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

    def suspect(self, tag: str) -> None:
        """The message is a suspect: a worker was lost while it held it. A process may hold only one suspect."""
        self._suspects.add(tag)

    def start(self, tag: str) -> None:
        """The message's task has begun: from now on the message may have been sent."""
        lease = self._held.get(tag)
        if lease is not None:
            lease.started = True

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
