"""Parse the stored forms of messages. ``leases.lua``, ``schedule.lua`` and ``shelf.lua`` write them.

Somebody may have overwritten a value: it is parsed as far as possible. A value of another form counts as an envelope.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from mailer.queue.number import number_or
from mailer.queue.stored_message import object_in, text_of

FIRST_US, LAST_US = -62e15, 253e15
"""The times that a datetime can show in every time zone: about the years 5 to 9987."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WHOLE_BYTES, _END_BYTES = 131_072, 65_536


class Why(NamedTuple):
    """Why a message of ``lane`` was set aside, and when: ``at`` is the epoch if the time is not known."""

    lane: str
    at: datetime
    code: str
    detail: str

    @classmethod
    def read(cls, reason: Mapping[str, Any]) -> Why:
        us = number_or(0.0, reason.get("at_us"))
        at = moment(us) if FIRST_US <= us <= LAST_US else _EPOCH
        lane, code, detail = (text_of(reason.get(name)) for name in ("lane", "code", "detail"))
        return cls(lane, at, code, detail)


def leased(stored: bytes) -> tuple[str, bytes]:
    """Lane and envelope of ``lane LF minute charged LF envelope``."""
    lane, _, envelope = _lines_before(stored)
    return lane, envelope


def scheduled(member: bytes) -> tuple[str, str, bytes]:
    """Number, lane and envelope of ``number LF lane LF envelope``."""
    number, lane, envelope = _lines_before(member)
    return (number, lane, envelope) if number.removeprefix("-").isdecimal() else ("", "", member)


def set_aside(stored: bytes) -> tuple[Why, bytes]:
    """Reason and envelope of ``JSON of the reason LF envelope``."""
    reason, _, envelope = stored.partition(b"\n")
    return Why.read(object_in(reason.decode(errors="replace"))), envelope


def digest_of(stored: bytes) -> str:
    """A digest that tells stored messages apart. The same as in digest.lua."""
    if len(stored) > _WHOLE_BYTES:
        stored = b"%d\n" % len(stored) + stored[:_END_BYTES] + stored[-_END_BYTES:]
    return hashlib.sha1(stored, usedforsecurity=False).hexdigest()


def moment(us: float) -> datetime:
    """Epoch microseconds as an aware datetime in UTC; the nearest one that a datetime can show."""
    return _EPOCH + timedelta(microseconds=min(max(us, FIRST_US), LAST_US))


def microseconds(at: datetime) -> int:
    """An aware datetime as epoch microseconds."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def _lines_before(stored: bytes) -> tuple[str, str, bytes]:
    first, _, rest = stored.partition(b"\n")
    second, end, envelope = rest.partition(b"\n")
    if not end:
        return "", "", stored
    return first.decode(errors="replace"), second.decode(errors="replace"), envelope
