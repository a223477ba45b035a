"""The passage of time, for what takes days: Redis's clock cannot be moved, but what it wrote down can be made older."""

from __future__ import annotations

from importlib.resources import files

import redis

from mailer.queue.keys import Keys
from mailer.queue.queue import ring
from ops.soak.stage import Stage

_SCRIPT = files(__package__).joinpath("pass_time.lua").read_text(encoding="utf-8")


def pass_time(client: redis.Redis, keys: Keys, minutes: int, *, in_flight: bool = False) -> bool:
    """Let so many minutes pass for the account, in one moment. Its rate, quota, leases, schedule and stops obey.

    With messages in flight nothing happens and False is returned, unless ``in_flight`` says that their leases are to
    become older too.
    """
    names = [keys.account, keys.quota, keys.leases, keys.leased, keys.schedule]
    return client.eval(_SCRIPT, len(names), *names, minutes, "0" if in_flight else "1") == 1


def hold(stage: Stage) -> None:
    """Nothing is in flight while the two clocks are moved: a message would be older for one of them, and an answer of
    GetAccount that lags by milliseconds would lag by minutes."""
    with stage.client() as client:
        client.hset(stage.keys.account, "paused", "the clocks are being moved")
        stage.until(lambda: not client.zcard(stage.keys.leases), "no message is in flight")
        stage.until(lambda: not client.hexists(stage.keys.account, "refreshing"), "GetAccount has been answered")


def let_pass(stage: Stage, minutes: int) -> None:
    """So many minutes pass, for Redis and for the simulator; then `hold` ends."""
    with stage.client() as client:
        pass_time(client, stage.keys, minutes)
        stage.simulator.advance_clock(60 * minutes)
        client.hdel(stage.keys.account, "paused")
        ring(client, [stage.keys.doorbell(lane) for lane in stage.settings.lanes])
