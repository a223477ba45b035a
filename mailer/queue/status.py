"""The values by which the scripts decide now. ``status.lua`` computes them; its head has the contract."""

from __future__ import annotations

from typing import Any

import redis

from mailer.errors import QueueUnavailable
from mailer.queue.foreign import foreign_keys
from mailer.queue.keys import Keys
from mailer.queue.script import script
from mailer.queue.take import lists_of
from mailer.rules import Rules


def status(client: redis.Redis, keys: Keys, rules: Rules) -> dict[str, Any]:
    """The names and values of the script's reply, in one round trip. Bytes that are not UTF-8 are replaced.

    Raises redis-py's errors. Raises QueueUnavailable if a key has another type: the error names the key.
    """
    names = [keys.account, keys.quota, keys.wishes, keys.hosts, keys.leases, keys.schedule]
    names += [keys.aside("dead"), keys.aside("held")]
    for lane in rules.lanes:
        names += lists_of(keys, lane)
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
