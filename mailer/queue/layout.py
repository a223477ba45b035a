"""What Redis has of a message, taken apart. The scripts write it: ``leases.lua``, ``schedule.lua``, ``shelf.lua``.

Whatever somebody wrote over it is read as far as it can be. Where it has no such form, all of it is the envelope.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from mailer.queue.stored_message import object_in, text_of

FIRST_US, LAST_US = -62e15, 253e15
"""What datetimes can show in every time zone: the years 5 to 9987, about."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WHOLE_BYTES, _END_BYTES = 131_072, 65_536


class Why(NamedTuple):
    """Why a message of ``lane`` was set aside: ``at`` when, the epoch where it does not say so."""

    lane: str
    at: datetime
    code: str
    detail: str

    @classmethod
    def read(cls, reason: Mapping[str, Any]) -> Why:
        try:
            us = float(reason["at_us"])
        except (LookupError, TypeError, ValueError, OverflowError):
            us = 0.0
        at = moment(us) if FIRST_US <= us <= LAST_US else _EPOCH
        lane, code, detail = (text_of(reason.get(name)) for name in ("lane", "code", "detail"))
        return cls(lane, at, code, detail)


def leased(stored: bytes) -> tuple[str, bytes]:
    """Lane and envelope of ``lane LF minute charged LF envelope``."""
    lane, _, envelope = _lines_before(stored)
    return lane, envelope


def scheduled(member: bytes) -> tuple[str, str, bytes]:
    """``number LF lane LF envelope``."""
    number, lane, envelope = _lines_before(member)
    return (number, lane, envelope) if number.isdecimal() else ("", "", member)


def set_aside(stored: bytes) -> tuple[Why, bytes]:
    """``JSON of the reason LF envelope``."""
    reason, _, envelope = stored.partition(b"\n")
    return Why.read(object_in(reason.decode(errors="replace"))), envelope


def digest_of(stored: bytes) -> str:
    """What tells it from all others: as in digest.lua."""
    if len(stored) > _WHOLE_BYTES:
        stored = b"%d\n" % len(stored) + stored[:_END_BYTES] + stored[-_END_BYTES:]
    return hashlib.sha1(stored, usedforsecurity=False).hexdigest()


def moment(us: float) -> datetime:
    """Epoch microseconds as an aware datetime in UTC; the nearest that can be shown."""
    return _EPOCH + timedelta(microseconds=min(max(us, FIRST_US), LAST_US))


def microseconds(at: datetime) -> int:
    """The other way round."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def _lines_before(stored: bytes) -> tuple[str, str, bytes]:
    first, _, rest = stored.partition(b"\n")
    second, end, envelope = rest.partition(b"\n")
    if not end:
        return "", "", stored
    return first.decode(errors="replace"), second.decode(errors="replace"), envelope
