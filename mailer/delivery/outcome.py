"""One message, one call to SES, one outcome. Knows neither Celery nor Redis."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal

from mailer import errors
from mailer.masking import mask_addresses

if TYPE_CHECKING:
    from mailer.mail.message import Message
    from mailer.ses.transport import Transport


Fault = Literal["nobody", "another sender", "the account", "this host", "the message", "not known"]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One row of the table: an error, the party at fault, and the consequence.

    ``verb`` is the settlement's verb. `mailer.queue.settlement.VERBS` says where the message goes, and whether its
    permit and its share of the quota are returned. ``when`` and ``then`` are for people and appear in
    docs/reference/outcomes.md.
    """

    error: type[errors.SendError] | None
    fault: Fault
    verb: str
    then: str
    when: str = ""
    spends_attempt: bool = False


class Kind(Enum):
    """The table of outcomes: one row for each possible outcome of a send."""

    SENT = Row(error=None, fault="nobody", verb="sent", then="settled")
    THROTTLED = Row(
        error=errors.RateExceeded,
        fault="another sender",
        verb="throttled",
        when="SES says rate exceeded, or answers 429 in words that name no quota",
        then="head of its lane, no attempt spent; the shared rate is cut to what others leave, and recovers",
    )
    OVER_QUOTA = Row(
        error=errors.QuotaExceeded,
        fault="the account",
        verb="over_quota",
        then="head of its lane; the account is parked until some of the quota is free again. The refusal also tells "
        "how much others have sent",
    )
    STOPPED = Row(
        error=errors.AccountStopped,
        fault="the account",
        verb="stop",
        when="sending disabled, account suspended, MAIL FROM not verified",
        then="head of its lane; the account stops. A single message is tried now and then; all go on once SES takes "
        "it, or at `mailer resume`",
    )
    UNFIT = Row(
        error=errors.HostUnfit,
        fault="this host",
        verb="unfit",
        when="this host has no Region or credentials, or AWS refuses them (unknown key, wrong secret, expired token, "
        "SMTP login)",
        then="head of its lane, permit back, no attempt spent; that worker rests and is named, others go on sending",
    )
    UNREACHABLE = Row(
        error=errors.Unreachable,
        fault="this host",
        verb="unfit",
        when="this host does not reach SES (name, route, TLS, proxy), or a proxy answers in its place",
        then="the same",
    )
    MISDATED = Row(
        error=errors.Misdated,
        fault="this host",
        verb="unfit",
        when="AWS refused the signature's date",
        then="the same; this host's clock is corrected",
    )
    DENIED = Row(
        error=errors.Denied,
        fault="the message",
        verb="defer",
        when="AccessDenied, or any other 403",
        then="the host's fault at first, as above. It is the sender's if this worker has sent other mail since it was "
        "first denied in these words, or if this message was denied here before. Then it is tried again after a "
        "minute, and after twice as long each time, up to a quarter of an hour; no attempt spent, other mail goes on",
    )
    LATE = Row(
        error=errors.TooLate,
        fault="this host",
        verb="back",
        when="its permit had run out, or its lease would before SES's answer",
        then="head of its lane, permit back, no attempt spent",
    )
    FAILED = Row(
        error=errors.Unavailable,
        fault="the message",
        verb="retry",
        spends_attempt=True,
        when="surely not accepted (a 503 of SES's, a request that did not go out whole)",
        then="scheduled again with exponential backoff and jitter, until it has waited for `MAILER_RETRY_HOURS` "
        "between its attempts; then a dead letter",
    )
    REJECTED = Row(error=errors.Rejected, fault="the message", verb="dead", then="dead letter")
    UNKNOWN = Row(
        error=errors.OutcomeUnknown,
        fault="not known",
        verb="resend",
        spends_attempt=True,
        then="sent again or held, by the policy of its lane; held after twelve such attempts at most. A worker that "
        "comes back late and knows that it was sent takes it off the held shelf",
    )

    @property
    def word(self) -> str:
        """Its name in logs, in Flower and in the docs."""
        return self.name.lower()


_BY_ERROR: Final = {kind.value.error: kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one send.

    If ``kind`` is SENT, ``ses_id`` is SES's MessageId. Otherwise ``ses_id`` is None, ``code`` is the error's name, and
    ``detail`` is SES's own words, which may quote addresses.
    """

    kind: Kind
    ses_id: str | None = None
    code: str = ""
    detail: str = ""

    def __repr__(self) -> str:
        return f"Outcome({self.kind}, {mask_addresses(f'{self.ses_id or self.code}: {self.detail}')!r})"


def deliver(message: Message, transport: Transport) -> Outcome:
    """Send a message once and return the outcome. Never raises an `Exception`."""
    try:
        return Outcome(Kind.SENT, transport.send(message))
    except Exception as error:  # noqa: BLE001 - a worker must settle every message that it took
        return outcome_of(error)


def outcome_of(result: str | Exception) -> Outcome:
    """The outcome for a transport's MessageId or exception.

    An exception other than `SendError` is a defect in the middle of a send, so SES may have accepted the message. Then
    the outcome is UNKNOWN and ``code`` is the exception's type.
    """
    if isinstance(result, str):
        return Outcome(Kind.SENT, result)
    if isinstance(result, errors.SendError):
        return Outcome(_BY_ERROR.get(type(result), Kind.UNKNOWN), None, result.code, result.detail)
    return Outcome(Kind.UNKNOWN, None, type(result).__name__, str(result))
