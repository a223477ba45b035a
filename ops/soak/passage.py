"""The passage of days in one moment. Redis's clock cannot be moved, so the times in Redis are made older instead."""

from __future__ import annotations

from importlib.resources import files

import redis

from mailer.queue.keys import Keys
from mailer.queue.queue import ring
from ops.soak.stage import Stage

_SCRIPT = files(__package__).joinpath("pass_time.lua").read_text(encoding="utf-8")


def pass_time(client: redis.Redis, keys: Keys, minutes: int, *, in_flight: bool = False) -> bool:
    """Let ``minutes`` pass for the account in one moment: for its rate, quota, leases, schedule and stops.

    With messages in flight this does nothing and returns False, unless ``in_flight`` is set. Then their leases become
    older too.
    """
    names = [keys.account, keys.quota, keys.leases, keys.leased, keys.schedule]
    return bool(client.eval(_SCRIPT, len(names), *names, minutes, "0" if in_flight else "1") == 1)


def hold(stage: Stage) -> None:
    """Pause the account and wait until nothing is in flight, before the two clocks are moved. Otherwise a message would
    be older for one clock than for the other, and an answer of GetAccount would be minutes late."""
    with stage.client() as client:
        client.hset(stage.keys.account, "paused", "the clocks are being moved")
        stage.until(lambda: not client.zcard(stage.keys.leases), "no message is in flight")
        stage.until(lambda: not client.hexists(stage.keys.account, "refreshing"), "GetAccount has been answered")


def let_pass(stage: Stage, minutes: int) -> None:
    """Let ``minutes`` pass for Redis and for the simulator, and end `hold`."""
    with stage.client() as client:
        pass_time(client, stage.keys, minutes)
        stage.simulator.advance_clock(60 * minutes)
        client.hdel(stage.keys.account, "paused")
        ring(client, [stage.keys.doorbell(lane) for lane in stage.settings.lanes])
