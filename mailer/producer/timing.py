"""The earliest and the latest time at which a message may be sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mailer.errors import InvalidMessage
from mailer.mail.header import kind

MAX_AHEAD = timedelta(days=3660)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Timing:
    """``eta`` and ``expires`` are in UTC. None means at once and never. ``due_us`` is ``eta`` in epoch microseconds."""

    eta: datetime | None
    expires: datetime | None

    @property
    def due_us(self) -> int:
        return 0 if self.eta is None else (self.eta - _EPOCH) // _MICROSECOND


def timing(send_at: object, expires_at: object, clock: Callable[[], datetime]) -> Timing:
    """Validate ``send_at`` and ``expires_at`` against ``clock``. A ``send_at`` in the past means at once.

    Without both it does not ask the clock. Raises InvalidMessage.
    """
    if send_at is None and expires_at is None:
        return Timing(None, None)
    now = clock()
    eta = _moment("send_at", send_at, now)
    expires = _moment("expires_at", expires_at, now)
    if eta is not None and eta <= now:
        eta = None
    if expires is not None and expires <= (eta or now):
        raise InvalidMessage(
            "expires_at",
            "is not after send_at" if eta else "is in the past",
            "Pass a later time, or leave it out",
        )
    return Timing(eta, expires)


def _moment(field: str, value: object, now: datetime) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise InvalidMessage(field, f"is {kind(value)}", "Pass a datetime with a time zone")
    if value.utcoffset() is None:
        raise InvalidMessage(
            field, "has no time zone", "Pass an aware datetime, as datetime.now(UTC) + timedelta(hours=1)"
        )
    try:
        moment = value.astimezone(UTC)
    except OverflowError as error:
        raise InvalidMessage(field, "is out of range", "Pass a time within ten years") from error
    if moment - now > MAX_AHEAD:
        raise InvalidMessage(field, "is more than ten years ahead", "Pass an earlier time")
    return moment
