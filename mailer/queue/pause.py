"""A person's pause of the account, or of one lane. Every worker's next take obeys it.

The account's hash holds it in the fields ``paused`` (the reason), ``paused_at``, ``paused_until`` (both epoch
microseconds) and ``paused_by``. For the pause of one lane each name ends in ``:<lane>``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import redis

from mailer.errors import InvalidRequest
from mailer.queue.keys import Keys
from mailer.queue.layout import microseconds
from mailer.queue.queue import redis_now, ring, translated

FIELDS = ("paused", "paused_at", "paused_until", "paused_by")
STOP = ("stopped", "stopped_at", "probe", "probe_at", "probe_wait")
"""Fields about SES's own stop."""
LEARNED_OF_OTHERS = ("others", "others_at", "doubted", "over_quota")
"""Fields about quota that others use."""


def pause(
    client: redis.Redis,
    keys: Keys,
    *,
    reason: str,
    lane: str | None = None,
    until: datetime | timedelta | None = None,
    by: str = "",
) -> datetime | None:
    """Stop handing out messages, of one lane or of all, until ``until`` (None: until `resume`); returns when it ends.

    It replaces a pause in force. The next take of every worker on every host obeys it, also after restarts. It ends by
    itself at ``until``, on Redis's clock: an aware datetime, or a timedelta from now. ``by`` is who asked for it.
    Raises InvalidRequest and QueueUnavailable.
    """
    if not reason.strip():
        raise InvalidRequest("reason: is empty. Say why: `mailer status` shows it to whoever wonders")
    now, end = now_and_end(client, until)
    values = {"paused": reason, "paused_at": str(microseconds(now)), "paused_by": by}
    if end is not None:
        values["paused_until"] = str(microseconds(end))
    fields = fields_of(lane)
    with translated("write", "paused"), client.pipeline(transaction=True) as pipe:
        pipe.hdel(keys.account, *fields.values())
        pipe.hset(keys.account, mapping={fields[name]: value for name, value in values.items()})
        pipe.execute()
    return end


def resume(client: redis.Redis, keys: Keys, lanes: Sequence[str], *, lane: str | None = None) -> bool:
    """End the pause of ``lane``, or without it of the account, and wake workers; returns whether it changed anything.

    ``lanes`` are the account's lanes. To resume the account also ends a stop by SES, and forgets how much of the quota
    others have used: if that is still true, SES says so again. A lane with a pause of its own stays paused.
    Raises QueueUnavailable.
    """
    ended = [*fields_of(lane).values(), *((*STOP, *LEARNED_OF_OTHERS) if lane is None else ())]
    with translated("write", "resumed"):
        changed = client.hdel(keys.account, *ended)
        ring(client, [keys.doorbell(each) for each in lanes if lane in (None, each)])
    return bool(changed)


def fields_of(lane: str | None) -> dict[str, str]:
    """The names of a pause's fields in the account's hash, for ``lane`` or (None) for the account."""
    return {name: name if lane is None else f"{name}:{lane}" for name in FIELDS}


def now_and_end(client: redis.Redis, until: datetime | timedelta | None) -> tuple[datetime, datetime | None]:
    """The time now and ``until``, in UTC on Redis's clock. Raises InvalidRequest and QueueUnavailable."""
    now = redis_now(client)
    if until is None:
        return now, None
    if isinstance(until, datetime) and until.tzinfo is None:
        raise InvalidRequest("until: has no time zone. Pass an aware datetime")
    try:
        end = now + until if isinstance(until, timedelta) else until.astimezone(UTC)
    except OverflowError:
        raise InvalidRequest("until: is not within the years 1 to 9999. Pass a nearer time") from None
    if end <= now:
        raise InvalidRequest("until: has passed. Pass a time to come")
    return now, end
