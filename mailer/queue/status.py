"""The values by which the scripts decide now, and the keys that hold what mailer did not write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

from mailer.errors import QueueUnavailable
from mailer.queue.keys import Keys
from mailer.queue.script import script
from mailer.rules import Rules


def status(client: redis.Redis, keys: Keys, rules: Rules) -> dict[str, Any]:
    """The names and values of the reply of ``status.lua``, in one round trip. Bytes that are not UTF-8 are replaced.

    Raises redis-py's errors. Raises QueueUnavailable if a key has another type: the error names the key.
    """
    names = [keys.account, keys.quota, keys.wishes, keys.hosts, keys.leases, keys.schedule]
    names += [keys.aside("dead"), keys.aside("held")]
    for lane in rules.lanes:
        names += keys.lists_of(lane)
    try:
        reply = _text(script("status").run(client, names, [int(rules.lease_seconds * 1e6), *rules.lanes]))
    except redis.exceptions.ResponseError as error:
        if foreign := foreign_keys(client, keys, rules.lanes):
            raise QueueUnavailable("; ".join(foreign)) from error
        raise
    return dict(zip(reply[::2], reply[1::2], strict=True))


def _text(found: Any) -> Any:
    if isinstance(found, list):
        return [_text(each) for each in found]
    return found.decode(errors="replace") if isinstance(found, bytes) else found


def foreign_keys(client: redis.Redis, keys: Keys, lanes: Sequence[str]) -> list[str]:
    """The keys that hold another type than mailer needs: a text for each, with the remedy. Raises redis-py's errors."""
    lists = [key for lane in lanes for key in keys.lists_of(lane)]
    shelves = ("dead", "held")
    expected = {
        **dict.fromkeys((*lists, *map(keys.doorbell, lanes)), "list"),
        **dict.fromkeys((keys.account, keys.quota, keys.leased, keys.content, keys.references, keys.records), "hash"),
        **dict.fromkeys((keys.wishes, keys.hosts, *map(keys.aside, shelves)), "hash"),
        **dict.fromkeys((keys.leases, keys.schedule, *map(keys.aside_index, shelves)), "zset"),
        keys.schedule_number: "string",
    }
    with client.pipeline(transaction=False) as pipe:
        for key in expected:
            pipe.type(key)
        found = [each.decode() for each in pipe.execute()]
    return [
        f"{key} is a {kind}, and mailer keeps a {wanted} there: see who writes it, then `redis-cli rename '{key}' "
        f"'foreign {key}'`. Mail goes on by itself then"
        for (key, wanted), kind in zip(expected.items(), found, strict=True)
        if kind not in ("none", wanted)
    ]
