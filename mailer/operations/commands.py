"""Operating the account that `mailer.send` uses: its shelves, its schedule, pause, resume and rate.

mailer.dead().requeue(mailer.Filter(code="ServiceUnavailable"))
mailer.pause("the wrong letter", lane="bulk", until=timedelta(hours=2))
mailer.rate(20, until=timedelta(hours=2))
"""

from __future__ import annotations

from datetime import datetime, timedelta

from mailer.producer.producer import default
from mailer.queue import limits
from mailer.queue import pause as pausing
from mailer.queue.shelf import Shelf, ShelfName


def dead() -> Shelf:
    """The dead letters: what SES rejected, and what failed too often."""
    return _shelf("dead")


def held() -> Shelf:
    """What is held: SES may have accepted it or not, and a person (or an event of SES) has to say."""
    return _shelf("held")


def scheduled() -> Shelf:
    """What waits for its time: sent with ``send_at``, or to be tried again."""
    return _shelf("scheduled")


def pause(
    reason: str, *, lane: str | None = None, until: datetime | timedelta | None = None, by: str = ""
) -> datetime | None:
    """Stop sending, the whole account or one lane; returns when the pause ends by itself, None for never.

    Holds for every worker on every host from its next take on, and over restarts, until ``until`` (an aware datetime,
    or a timedelta from now) or `resume`. What is being sent at this moment still goes out; messages can be enqueued
    meanwhile. ``reason`` and ``by`` are shown by ``mailer status``. Raises InvalidRequest and QueueUnavailable.
    """
    queue = default().queue
    return pausing.pause(queue.client, queue.keys, reason=reason, lane=_known(lane), until=until, by=by)


def resume(*, lane: str | None = None) -> bool:
    """Send again what was paused, by a person or because SES said so, or parked; whether anything was.

    A lane that was paused by itself stays so: resume it by its name. Raises QueueUnavailable.
    """
    producer = default()
    return pausing.resume(producer.queue.client, producer.queue.keys, producer.lanes, lane=_known(lane))


def rate(
    per_second: float | None, *, until: datetime | timedelta | None = None, reason: str = "", by: str = ""
) -> datetime | None:
    """Have all hosts together send ``per_second`` recipients a second; returns when that ends, None for never.

    Stands in place of ``MAILER_RATE_PER_SECOND`` of every host, from the next take of every worker and over restarts,
    until ``until`` (an aware datetime, or a timedelta from now) or ``rate(None)``. It never exceeds what SES allows,
    where SES is asked. ``mailer status`` shows ``reason`` and ``by``. Raises InvalidRequest and QueueUnavailable.
    """
    queue = default().queue
    if per_second is None:
        limits.reset_rate(queue.client, queue.keys)
        return None
    return limits.set_rate(queue.client, queue.keys, per_second, until=until, reason=reason, by=by)


def _shelf(name: ShelfName) -> Shelf:
    producer = default()
    return Shelf(producer.queue, name, producer.lanes)


def _known(lane: str | None) -> str | None:
    return None if lane is None else default().lanes.check(lane)
