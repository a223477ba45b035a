"""The one call that a worker makes to Redis: its command and its answer. The contract is in ``take.lua``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from mailer.queue.bounds import IN_FLIGHT_BYTES
from mailer.queue.keys import Keys
from mailer.queue.leases import Call, Leases
from mailer.queue.script import script
from mailer.rules import Rules

PRIORITY_SEPARATOR = "\x06\x16"
LOWER_PRIORITIES = (3, 6, 9)  # kombu's default steps. The most urgent, 0, is the lane itself.

IDLE_SECONDS = 1.0


def lists_of(keys: Keys, lane: str) -> list[str]:
    """The keys of the lists in which a lane's messages wait.

    In this order: suspects, the lane itself, large messages, and the three for lower priorities of stock Celery.
    """
    key = keys.lane(lane)
    low = [f"{key}{PRIORITY_SEPARATOR}{step}" for step in LOWER_PRIORITIES]
    return [keys.suspects(lane), key, keys.large(lane), *low]


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
    refused: list[str]
    refusal: str
    lanes: list[str]
    envelopes: list[bytes]
    sizes: list[int]


class Take:
    """Builds the command for one account and reads its answer."""

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
            names += lists_of(keys, lane)
        self._keys = names

    def arguments(self, leases: Leases, call: Call, served: Collection[str]) -> list[Any]:
        """The script's ARGV."""
        rules, (lane_prefix, suspects_prefix, large_prefix) = self.rules, self._prefixes
        arguments: list[Any] = [
            *(leases.owner, call.number, call.wanted),
            *(int(rules.lease_seconds * 1e6), int(IDLE_SECONDS * 1e6)),
            *("" if call.latest_us is None else call.latest_us, len(rules.lanes)),
            *(int(not leases.holds_suspect), int(rules.record_hours * 3.6e6), int(rules.record_megabytes * 1e6)),
            *(lane_prefix, "" if call.earliest_us is None else call.earliest_us, suspects_prefix),
            *(int(leases.fitness.may_ask), max(0, IN_FLIGHT_BYTES - leases.large_bytes), int(not leases.large_bytes)),
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

    def run(
        self, client: redis.Redis, leases: Leases, wanted: int, served: Collection[str]
    ) -> tuple[Answer, list[str]]:
        """Call take and wait; returns the answer and the tags of its messages. Raises redis-py's errors."""
        call = leases.call(wanted)
        try:
            reply = self._script.run(
                client, self._keys, self.arguments(leases, call, served), replicas=self.rules.redis_replicas
            )
        except BaseException:
            leases.abandon(call)
            raise
        answer = read(reply)
        return answer, self.answered(leases, call, answer)

    def settle_all(self, client: redis.Redis, leases: Leases) -> None:
        """Send every settlement, and take nothing. Raises redis-py's errors."""
        while leases.unsettled:
            self.run(client, leases, 0, ())

    def answered(self, leases: Leases, call: Call, answer: Answer) -> list[str]:
        """Note the answer in ``leases``; returns the tags of its messages."""
        return leases.answered(
            *(call, answer.lanes, self.rules.lease_seconds, answer.redis_us, answer.refused),
            sizes=answer.sizes,
            is_short=answer.is_short,
        )


def _encoded(argument: Any) -> Any:
    """Text as bytes that redis-py can send: JSON may contain an escape for half of a surrogate pair."""
    return argument.encode(errors="replace") if type(argument) is str else argument


def read(reply: Sequence[Any]) -> Answer:
    """The script's reply, parsed."""
    wait, listen, refresh, good, now, stopped, unsettled = reply[:7]
    refusal, *refused = (each.decode(errors="replace") for each in unsettled or [b""])
    return Answer(
        wait_seconds=None if wait < 0 else wait / 1e6,
        listen=listen & 1 == 1,
        is_short=listen & 2 == 2,
        refresh_limits=refresh == 1,
        good_seconds=good / 1e6,
        redis_us=now,
        stopped=stopped.decode(errors="replace"),
        refused=refused,
        refusal=refusal,
        lanes=[lane.decode() for lane in reply[7::3]],
        envelopes=list(reply[8::3]),
        sizes=list(reply[9::3]),
    )
