"""One message, one call to SES, one outcome. Knows neither Celery nor Redis."""

from __future__ import annotations

import random as _random
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from mailer.errors import (
    AccountStopped,
    Denied,
    HostUnfit,
    Misdated,
    OutcomeUnknown,
    QuotaExceeded,
    RateExceeded,
    Rejected,
    SendError,
    TooLate,
    Unavailable,
    Unreachable,
)
from mailer.masking import mask_addresses

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailer.message import Message
    from mailer.ses.transport import Transport


class Kind(StrEnum):
    """What became of a send, by what happens to the message next."""

    SENT = "sent"
    """SES answered with a MessageId."""
    THROTTLED = "throttled"
    """Over the account's rate: back to the head of its lane, no attempt spent."""
    OVER_QUOTA = "over_quota"
    """Over the account's 24-hour quota: the same, and the account is parked."""
    PAUSED = "paused"
    """The account may not send until a person acts: the same, and the account stops until SES takes mail again."""
    UNFIT = "unfit"
    """This host has no credentials, or some that are refused: back to the head of its lane, no attempt spent, and this
    worker rests."""
    UNREACHABLE = "unreachable"
    """This host does not reach SES: the same."""
    MISDATED = "misdated"
    """Signed by a wrong clock, which is put right: the same."""
    DENIED = "denied"
    """This host's key may not send it: the same, or where the host sends other mail it is tried later."""
    LATE = "late"
    """Not tried, as its time was over: back to the head of its lane, no attempt spent."""
    FAILED = "failed"
    """Not accepted for sure: scheduled again after a backoff, an attempt spent."""
    REJECTED = "rejected"
    """SES will never take it: to the dead letters."""
    UNKNOWN = "unknown"
    """SES may have taken it: resent or held, as its lane says."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one send.

    ``ses_id`` is SES's MessageId when ``kind`` is sent, else None. Otherwise ``code`` is the error's name and
    ``detail`` SES's own words, which may quote addresses.
    """

    kind: Kind
    ses_id: str | None = None
    code: str = ""
    detail: str = ""

    def __repr__(self) -> str:
        return f"Outcome({self.kind}, {mask_addresses(f'{self.ses_id or self.code}: {self.detail}')!r})"


_KINDS: Final[dict[type[SendError], Kind]] = {
    RateExceeded: Kind.THROTTLED,
    QuotaExceeded: Kind.OVER_QUOTA,
    AccountStopped: Kind.PAUSED,
    HostUnfit: Kind.UNFIT,
    Unreachable: Kind.UNREACHABLE,
    Misdated: Kind.MISDATED,
    Denied: Kind.DENIED,
    TooLate: Kind.LATE,
    Unavailable: Kind.FAILED,
    Rejected: Kind.REJECTED,
    OutcomeUnknown: Kind.UNKNOWN,
}


def deliver(message: Message, transport: Transport) -> Outcome:
    """Send it once and say what became of it. Never raises an `Exception`."""
    try:
        return Outcome(Kind.SENT, transport.send(message))
    except Exception as error:  # noqa: BLE001 - a worker must settle every message that it took
        return outcome_of(error)


def outcome_of(result: str | Exception) -> Outcome:
    """What a transport's MessageId or exception means.

    Whatever it raises besides a `SendError` is a defect found in the middle of a send, so the message may have gone
    out: the outcome is unknown, ``code`` the exception's type.
    """
    if isinstance(result, str):
        return Outcome(Kind.SENT, result)
    if isinstance(result, SendError):
        return Outcome(_KINDS.get(type(result), Kind.UNKNOWN), None, result.code, result.detail)
    return Outcome(Kind.UNKNOWN, None, type(result).__name__, str(result))


def backoff(attempt: int, *, base: float, cap: float, random: Callable[[], float] = _random.random) -> float:
    """Seconds to wait before the next try of a failed message: exponential, with full jitter.

    ``attempt`` counts the failed tries so far, from 1; ``base`` and ``cap`` are seconds. The wait is uniform
    between 0 and ``min(cap, base * 2**(attempt-1))``, so that messages which failed together do not come back
    together. ``random`` returns a float in [0, 1).
    """
    # 2.0**63 seconds is beyond any cap; a larger exponent would overflow.
    ceiling = min(cap, base * 2.0 ** min(max(attempt, 1) - 1, 63))
    return random() * ceiling
