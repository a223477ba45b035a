"""Requeue or delete messages on behalf of a person. The contract is in ``move.lua``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import redis

from mailer.queue.keys import Keys
from mailer.queue.layout import digest_of
from mailer.queue.script import script
from mailer.queue.stored_message import StoredMessage

_AT_ONCE = 250

Verb = Literal["tail", "head", "drop", "sent"]


class Move(NamedTuple):
    """One message to move.

    ``name`` is its member of the schedule, or its name on a shelf; empty in a lane. ``digest`` is the digest of its
    stored bytes. ``note`` is for its record. ``envelope`` is the envelope to requeue.
    """

    name: bytes
    digest: str
    note: str
    envelope: bytes = b""


def move(
    client: redis.Redis, keys: Keys, place: str, verb: Verb, moves: Iterable[Move], *, lane: str, waits_in: str = ""
) -> tuple[int, str]:
    """Move messages; returns how many were moved, and why it stopped before the last one (empty if it did not).

    ``place`` is ``dead``, ``held``, ``scheduled`` or ``lane``. For ``lane``, ``waits_in`` is the list's key. ``lane``
    is the lane that messages are put into, or dropped from. Raises redis-py's errors.
    """
    stored, index = (waits_in, waits_in) if place == "lane" else keys.set_apart(place)
    names = [keys.doorbell(lane), keys.content, keys.references, keys.records, stored, index, keys.lane(lane)]
    arguments: list[Any] = [place, verb]
    for each in moves:
        arguments += each
    moved, why = script("move").run(client, names, arguments)
    return int(moved), why.decode(errors="replace")


def purge(client: redis.Redis, keys: Keys, lane: str, most: int | None = None) -> int:
    """Delete up to ``most`` messages at the head of ``lane``, or all that wait there; returns how many were deleted.

    Each is recorded as dropped, and its idempotency key is free again. A message that a worker takes meanwhile is sent.
    Raises redis-py's errors.
    """
    dropped = 0
    for key in keys.lists_of(lane):
        left = client.llen(key) if most is None else min(client.llen(key), most - dropped)
        while left > 0 and (waiting := script("head").run(client, [key], [min(_AT_ONCE, left)])):
            moves = [Move(b"", digest_of(envelope), StoredMessage(envelope).note(lane)) for envelope in waiting]
            moved, _ = move(client, keys, "lane", "drop", moves, lane=lane, waits_in=key)
            dropped, left = dropped + moved, left - moved
    return dropped
