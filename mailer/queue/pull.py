"""Taking messages out of where they lie, as a person wants. The contract is in ``pull.lua``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import redis

from mailer.queue.keys import Keys
from mailer.queue.script import script

Verb = Literal["tail", "head", "drop", "sent"]


class Pull(NamedTuple):
    """One message. ``name`` is its member of the schedule, or its name on a shelf, and empty in a lane; ``digest`` is
    that of what is stored under the name. ``note`` is for its record, and ``envelope`` is put into a lane."""

    name: bytes
    digest: str
    note: str
    envelope: bytes = b""


def pull(
    client: redis.Redis, keys: Keys, place: str, verb: Verb, pulls: Iterable[Pull], *, lane: str, waits_in: str = ""
) -> tuple[int, str]:
    """How many were pulled, and why it ended before the last of them, empty where it did not.

    ``place`` is ``dead``, ``held``, ``scheduled``, or ``lane``: then ``waits_in`` is the list's key. ``lane`` is the
    one into which they are put, or out of which they are dropped. Raises redis-py's errors.
    """
    stored, index = (waits_in, waits_in) if place == "lane" else keys.set_apart(place)
    names = [keys.doorbell(lane), keys.content, keys.references, keys.records, stored, index, keys.lane(lane)]
    arguments: list[Any] = [place, verb]
    for each in pulls:
        arguments += each
    pulled, why = script("pull").run(client, names, arguments)
    return int(pulled), why.decode(errors="replace")
