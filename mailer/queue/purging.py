"""Dropping all that waits in a lane, as ``celery purge`` and Flower ask for it."""

from __future__ import annotations

import redis

from mailer.queue.enveloped import Enveloped
from mailer.queue.keys import Keys
from mailer.queue.layout import digest_of
from mailer.queue.pull import Pull, pull
from mailer.queue.script import script
from mailer.queue.take import lists_of

_AT_ONCE = 250


def purge(client: redis.Redis, keys: Keys, lane: str, most: int | None = None) -> int:
    """Let go of ``most`` messages from the head of ``lane``, or as many as wait there; how many that were.

    Raises redis-py's errors.

    Each is recorded as dropped, and its idempotency key is free again. What a worker takes meanwhile is sent.
    """
    dropped = 0
    for place in lists_of(keys, lane):
        waiting = client.llen(place)
        dropped += _purge(client, keys, lane, place, waiting if most is None else min(waiting, most - dropped))
    return dropped


def _purge(client: redis.Redis, keys: Keys, lane: str, place: str, most: int) -> int:
    dropped = 0
    while dropped < most:
        waiting: list[bytes] = script("head").run(client, [place], [min(_AT_ONCE, most - dropped)])
        if not waiting:
            break
        pulls = [Pull(b"", digest_of(envelope), Enveloped(envelope).note(lane)) for envelope in waiting]
        dropped += pull(client, keys, "lane", "drop", pulls, lane=lane, waits_in=place)[0]
    return dropped
