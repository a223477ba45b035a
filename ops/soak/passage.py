"""The passage of time, for what takes days: Redis's clock cannot be moved, but what it wrote down can be made older."""

from __future__ import annotations

from importlib.resources import files

import redis

from mailer.queue.keys import Keys

_SCRIPT = files(__package__).joinpath("pass_time.lua").read_text(encoding="utf-8")


def pass_time(client: redis.Redis, keys: Keys, minutes: int, *, in_flight: bool = False) -> bool:
    """Let so many minutes pass for the account, in one moment. Its rate, quota, leases, schedule and stops obey.

    With messages in flight nothing happens and False is returned, unless ``in_flight`` says that their leases are to
    become older too.
    """
    names = [keys.account, keys.quota, keys.leases, keys.leased, keys.schedule]
    return client.eval(_SCRIPT, len(names), *names, minutes, "0" if in_flight else "1") == 1
