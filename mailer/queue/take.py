"""The one call that a worker makes to Redis: its command and its answer. The contract is in ``take.lua``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis

from mailer.queue.bounds import IN_FLIGHT_BYTES
from mailer.queue.keys import Keys
from mailer.queue.script import script
from mailer.queue.settlement import Settlement
from mailer.rules import Rules

IDLE_SECONDS = 1.0
_LONGEST_WAY_US = 60_000_000
"""A lost call is on its way for less than this."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of take.

    ``wait_seconds`` is when to ask again; None means as planned before. ``listen``: wait at the doorbells meanwhile.
    ``is_short``: a message waits that is too large beside those that this worker holds. ``refresh_limits``: ask SES for
    the limits. ``good_seconds`` is how long the permits are good. ``redis_us`` is Redis's clock, epoch microseconds.
    ``stopped`` says what is paused, stopped or refused, and why; only a call that wanted messages gets all of it.
    ``refused`` are the tags whose settlement Redis refused, ``refusal`` is why: nothing of them was written. ``lanes``,
    ``envelopes`` and ``sizes`` (bytes) have one element for each message.
    """

    wait_seconds: float | None
    listen: bool
    is_short: bool
    refresh_limits: bool
    good_seconds: float
    redis_us: int
    stopped: str
    refused: set[str]
    refusal: str
    lanes: list[str]
    envelopes: list[bytes]
    sizes: list[int]

    @classmethod
    def read(cls, reply: Sequence[Any]) -> Answer:
        """The script's reply, parsed."""
        wait, listen, refresh, good, now, stopped, unsettled = reply[:7]
        refusal, *refused = (each.decode(errors="replace") for each in unsettled or [b""])
        return cls(
            wait_seconds=None if wait < 0 else wait / 1e6,
            listen=listen & 1 == 1,
            is_short=listen & 2 == 2,
            refresh_limits=refresh == 1,
            good_seconds=good / 1e6,
            redis_us=now,
            stopped=stopped.decode(errors="replace"),
            refused=set(refused),
            refusal=refusal,
            lanes=[lane.decode() for lane in reply[7::3]],
            envelopes=list(reply[8::3]),
            sizes=list(reply[9::3]),
        )


@dataclass(slots=True)
class Call:
    """One call of take, from when it is sent until its answer is read.

    ``earliest_us`` and ``latest_us`` are on Redis's clock; None before that clock is known. The call is sent at
    ``earliest_us`` or later. It is given messages only if it arrives by ``latest_us``. ``lost`` are earlier calls whose
    answers were lost: they may have taken messages, and this call hands them back. ``again_at`` is when a lost call's
    messages are to be handed back once more, on this machine's monotonic clock. ``large_bytes`` is the total of the
    large messages that the process holds. ``may_ask``: it may ask SES for the limits.
    """

    owner: str
    number: int
    wanted: int
    sent_at: float
    earliest_us: int | None = None
    latest_us: int | None = None
    settlements: list[tuple[str, Settlement]] = field(default_factory=list)
    lost: list[Call] = field(default_factory=list)
    again_at: float = 0.0
    holds_suspect: bool = False
    large_bytes: int = 0
    may_ask: bool = True

    def tags(self, count: int) -> list[str]:
        """The tags of the first ``count`` messages that it took."""
        return [f"{self.owner}:{self.number}:{i}" for i in range(1, count + 1)]

    @property
    def verdicts(self) -> list[tuple[str, Settlement]]:
        """All settlements of the call, in the order in which they are sent."""
        # Some go to the head of their lane. Of these the last taken goes first, so the lane keeps the order of taking.
        # A tag ends in the number of the call that took the message, and the message's place in the answer.
        backs = [pair for pair in self.settlements if pair[1].to_head]
        others = [pair for pair in self.settlements if not pair[1].to_head] if backs else self.settlements
        backs.sort(key=lambda pair: [int(part) for part in pair[0].split(":")[1:]], reverse=True)
        perhaps_taken = [tag for call in self.lost for tag in reversed(call.tags(call.wanted))]
        return [*others, *backs, *((tag, Settlement.back()) for tag in perhaps_taken)]

    def may_take_for(self, redis_us: int) -> float:
        """For how many seconds more it may still take messages, below 0 if it no longer can.

        A lost call may still arrive: a socket's buffer can hold it long after the next connection was opened.
        ``redis_us`` is the time on Redis's clock. If it is far less than when the call was sent, the clock was put back
        since. ``take.lua`` hands nothing to a call from the future, and no call is still on its way when that comes.
        """
        if self.earliest_us is None or self.latest_us is None or redis_us < self.earliest_us - _LONGEST_WAY_US:
            return -1.0
        return (self.latest_us - redis_us) / 1e6


class Take:
    """Builds the command for one account."""

    def __init__(self, keys: Keys, rules: Rules) -> None:
        self.rules = rules
        self._script = script("take")
        names = [
            *(keys.account, keys.quota, keys.leases, keys.leased, keys.schedule, keys.doorbells),
            *(keys.content, keys.references),
            *(keys.aside("dead"), keys.aside_index("dead"), keys.aside("held"), keys.aside_index("held")),
            *(keys.records, keys.schedule_number, keys.hosts),
        ]
        self._prefixes = keys.prefix, keys.suspects(""), keys.large("")
        for lane in rules.lanes:
            names += keys.lists_of(lane)
        self._keys = names

    def arguments(self, call: Call, served: Collection[str]) -> list[Any]:
        """The script's ARGV."""
        rules, (lane_prefix, suspects_prefix, large_prefix) = self.rules, self._prefixes
        arguments: list[Any] = [
            *(call.owner, call.number, call.wanted),
            *(int(rules.lease_seconds * 1e6), int(IDLE_SECONDS * 1e6)),
            *("" if call.latest_us is None else call.latest_us, len(rules.lanes)),
            *(int(not call.holds_suspect), int(rules.record_hours * 3.6e6), int(rules.record_megabytes * 1e6)),
            *(lane_prefix, "" if call.earliest_us is None else call.earliest_us, suspects_prefix),
            *(int(call.may_ask), max(0, IN_FLIGHT_BYTES - call.large_bytes), int(not call.large_bytes)),
            large_prefix,
        ]
        for lane in rules.lanes:
            # Only the most urgent lane may use the quota's reserve.
            arguments += (lane, rules.unknown_policy(lane), int(lane == rules.lanes.most_urgent), int(lane in served))
        for tag, (verb, first, second, note) in call.verdicts:
            arguments += (verb, tag, _encoded(first), _encoded(second), _encoded(note))
        return arguments

    def command(self, arguments: Sequence[Any], *, by_text: bool = False) -> list[Any]:
        """The command to send. Use ``by_text`` if the server has answered that it does not have the script."""
        how = ("EVAL", self._script.text) if by_text else ("EVALSHA", self._script.sha)
        return [*how, len(self._keys), *self._keys, *arguments]

    def run(self, client: redis.Redis, call: Call, served: Collection[str]) -> Answer:
        """Carry out ``call`` and wait for its answer. Raises redis-py's errors."""
        replicas = self.rules.redis_replicas
        return Answer.read(self._script.run(client, self._keys, self.arguments(call, served), replicas=replicas))


def _encoded(argument: Any) -> Any:
    """Text as bytes that redis-py can send: JSON may contain an escape for half of a surrogate pair."""
    return argument.encode(errors="replace") if type(argument) is str else argument
