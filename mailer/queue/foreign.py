"""Find keys of an account that hold a value which mailer did not write."""

from __future__ import annotations

from collections.abc import Sequence

import redis

from mailer.queue.keys import Keys
from mailer.queue.take import lists_of


def foreign_keys(client: redis.Redis, keys: Keys, lanes: Sequence[str]) -> list[str]:
    """The keys that hold another type than mailer needs: a text for each, with the remedy. Raises redis-py's errors."""
    lists = [key for lane in lanes for key in lists_of(keys, lane)]
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
