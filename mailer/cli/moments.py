"""Times and durations in the form that a person types and reads."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta

from mailer.errors import InvalidRequest

_DURATION = re.compile(r"(?=\d)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


def ahead(option: str, text: str) -> datetime | timedelta:
    """A future time: ``30m``, ``2h``, ``1d12h``; ``18:30``, the next one on this machine's clock; or ISO 8601."""
    duration = _duration(text)
    if duration is not None:
        return duration
    clock = _CLOCK.fullmatch(text)
    if clock is None:
        return _iso(option, text, "30m, 2h, 18:30")
    now = datetime.now().astimezone()
    at = time(int(clock[1]), int(clock[2]))
    today = datetime.combine(now.date(), at).astimezone()
    return today if today > now else datetime.combine(now.date() + timedelta(days=1), at).astimezone()


def ago(option: str, text: str) -> datetime:
    """A past time: a duration before now (``2h``), or ISO 8601."""
    duration = _duration(text)
    return _iso(option, text, "2h, 7d") if duration is None else _moved(option, text, -duration)


def hence(option: str, text: str) -> datetime:
    """Like `ahead`, but always a datetime."""
    found = ahead(option, text)
    return found if isinstance(found, datetime) else _moved(option, text, found)


def shown(at: datetime | float, *, milliseconds: bool = False) -> str:
    """``at`` on this machine's clock. A number is epoch seconds."""
    try:
        local = (at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)).astimezone()
    except (OverflowError, ValueError, OSError):  # somebody has overwritten the time in Redis
        return "no time that can be"
    return local.replace(tzinfo=None).isoformat(" ", "milliseconds" if milliseconds else "seconds")


def _moved(option: str, text: str, by: timedelta) -> datetime:
    try:
        return datetime.now(UTC) + by
    except OverflowError:
        raise InvalidRequest(f"{option}: {text} is too long") from None


def _duration(text: str) -> timedelta | None:
    found = _DURATION.fullmatch(text)
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    try:
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        return None


def _iso(option: str, text: str, others: str) -> datetime:
    remedy = f"Write {others} or 2030-01-31T09:00+01:00, with the offset from UTC"
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"{option}: {text!r} is not a time. {remedy}") from None
    if found.tzinfo is None:
        raise InvalidRequest(f"{option}: {text!r} has no offset from UTC. {remedy}")
    return found
