"""Operate the account that `mailer.send` uses: its shelves, its schedule, pause, resume and rate.

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
    """The dead letters: messages that SES rejected or that failed too often."""
    return _shelf("dead")


def held() -> Shelf:
    """The held messages. SES may have accepted each; a person or an event of SES must decide."""
    return _shelf("held")


def scheduled() -> Shelf:
    """The scheduled messages: sent with ``send_at``, or waiting for another try."""
    return _shelf("scheduled")


def pause(
    reason: str, *, lane: str | None = None, until: datetime | timedelta | None = None, by: str = ""
) -> datetime | None:
    """Pause the whole account or one lane. Return the time at which the pause ends by itself, None for never.

    The pause applies to every worker on every host from its next take on, and survives restarts. It ends at ``until``
    (an aware datetime, or a timedelta from now) or by `resume`. Sends in flight still finish. Messages can be enqueued
    during the pause. ``mailer status`` shows ``reason`` and ``by``. Raises InvalidRequest and QueueUnavailable.
    """
    queue = default().queue
    return pausing.pause(queue.client, queue.keys, reason=reason, lane=_known(lane), until=until, by=by)


def resume(*, lane: str | None = None) -> bool:
    """End a pause by a person, a stop by SES and a parking by the quota. Return whether there was one.

    Without ``lane``, a lane that was paused separately stays paused. Raises QueueUnavailable.
    """
    producer = default()
    return pausing.resume(producer.queue.client, producer.queue.keys, producer.lanes, lane=_known(lane))


def rate(
    per_second: float | None, *, until: datetime | timedelta | None = None, reason: str = "", by: str = ""
) -> datetime | None:
    """Have all hosts together send ``per_second`` recipients a second. Return the end of this rate, None for never.

    The rate replaces ``MAILER_RATE_PER_SECOND`` of every host from each worker's next take on, and survives restarts.
    It ends at ``until`` (an aware datetime, or a timedelta from now) or by ``rate(None)``. Where SES is asked for its
    limits, SES's rate is never exceeded. ``mailer status`` shows ``reason`` and ``by``. Raises InvalidRequest and
    QueueUnavailable.
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
