"""The account's sending limits, written in Redis for all workers. ``limits.lua`` decides which limits hold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import redis

from mailer.errors import InvalidRequest
from mailer.queue.keys import Keys
from mailer.queue.pause import end_us
from mailer.queue.queue import translated
from mailer.queue.script import script
from mailer.queue.wish import wish_of
from mailer.settings import Settings


@dataclass(frozen=True, slots=True)
class SesLimits:
    """SES's answer about the account.

    ``rate`` is in recipients per second. ``quota`` is in recipients per 24 hours (-1: no quota). ``sent`` is the number
    of recipients that SES counts in the last 24 hours (None: not said). ``allows``: whether the account may send.
    """

    rate: float
    quota: float
    sent: float | None = None
    allows: bool = True


def write(client: redis.Redis, settings: Settings, process: str, ses: SesLimits | None = None, **shown: object) -> None:
    """Write the settings of ``process``, and SES's answer if SES was asked.

    Every worker's next take obeys the resulting limits. ``process`` is a name from `mailer.queue.wish.new_process`.
    ``shown`` are further fields for ``mailer status``. Raises redis-py's errors.
    """
    arguments: list[object] = ["wish", process, wish_of(settings)]
    if ses is not None:
        sent = "" if ses.sent is None else int(ses.sent)
        arguments += ("ses", repr(float(ses.rate)), int(ses.quota), sent, int(ses.allows))
    for field, value in shown.items():
        arguments += ("show", field, int(value) if isinstance(value, bool) else value)
    _run(client, Keys.of(settings), arguments)


def unanswered(client: redis.Redis, settings: Settings, process: str, why: str) -> None:
    """SES did not answer ``process`` about the limits: another process may ask at once. Raises redis-py's errors."""
    _run(client, Keys.of(settings), ["unanswered", process, why])


def forget(client: redis.Redis, settings: Settings, process: str) -> None:
    """``process`` has ended: its settings count no more. Raises redis-py's errors."""
    _run(client, Keys.of(settings), ["gone", process])


def set_rate(
    client: redis.Redis,
    keys: Keys,
    per_second: float,
    *,
    until: datetime | timedelta | None = None,
    reason: str = "",
    by: str = "",
) -> datetime | None:
    """Make all hosts send ``per_second`` recipients a second, whatever their settings say; returns when that ends.

    The next take of every worker obeys it, also after restarts. `reset_rate` ends it. With ``until`` (an aware
    datetime, or a timedelta from now) it also ends by itself then, on Redis's clock. If SES is asked for its limits,
    SES's rate is never exceeded. Raises InvalidRequest and QueueUnavailable.
    """
    if not 0 < per_second < float("inf"):
        raise InvalidRequest("rate: is not above 0. To send nothing, pause")
    until_us = end_us(client, until)
    with translated("write", "changed"):
        _run(client, keys, ["set", repr(float(per_second)), "" if until_us is None else until_us, by, reason])
    return None if until_us is None else datetime.fromtimestamp(until_us / 1e6, UTC)


def reset_rate(client: redis.Redis, keys: Keys) -> bool:
    """End the rate that a person set; returns whether there was one. Raises QueueUnavailable."""
    with translated("write", "changed"):
        was_set = client.hexists(keys.account, "set_rate")
        _run(client, keys, ["reset"])
    return bool(was_set)


def _run(client: redis.Redis, keys: Keys, arguments: list[object]) -> None:
    script("limits").run(client, [keys.account, keys.quota, keys.wishes], arguments)
