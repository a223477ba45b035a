"""Every error this package raises, named by what to do next.

MailerError
├── SettingsError          a setting is missing or wrong: fix it and start again
│   └── NotOurs            another user of this host owns or may write a file or folder: it is not believed
├── InvalidMessage         the caller's input is wrong: fix the field it names; nothing was enqueued
│   ├── UnknownVersion     a newer producer wrote it: upgrade the workers, then requeue it
│   └── UnknownLane        also an InvalidRequest: name a lane that there is
├── InvalidRequest         an operator asked for what cannot be done: the text says why; nothing was changed
├── NotFound               no such message lies there (any more)
├── QueueUnavailable       Redis did not answer: try again
├── Unwritable             a file on this host could not be written: make room there, or name another one
├── NotOnDisk              accepted, but perhaps not yet safe from a power cut: do not send again
└── SendError              SES (or the way to it) did not take a message
    ├── RateExceeded       wait a moment; the message was not accepted
    ├── QuotaExceeded      wait for the 24-hour window to roll; the message was not accepted
    ├── AccountStopped     a person must act in SES; the message was not accepted
    ├── HostUnfit          a person must act on this host; the message was not accepted, others may send it
    ├── Unreachable        wait until this host reaches SES again; the message was not accepted, others may send it
    ├── Misdated           send again, signed by a clock put right; the message was not accepted
    ├── Denied             a person must allow it; the message was not accepted, other mail may go
    ├── TooLate            send again at once; the message was not tried
    ├── Unavailable        try again later; the message was not accepted
    ├── Rejected           never try again; the message was not accepted
    └── OutcomeUnknown     the request went out and no answer came: SES may have accepted it
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from mailer.masking import mask_addresses, mask_logins

_EXAMPLE = re.compile(r"(?<![\w.+-])(?:user|jane)@example\.com\b")
"""In our own remedies."""


class MailerError(Exception):
    """The base of all of them. Their ``repr`` is masked; their text may quote addresses where it is SES's."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({mask_addresses(str(self))!r})"


class SettingsError(MailerError):
    """A setting is missing or wrong. The text names the variable and what to set it to."""


class NotOurs(SettingsError):
    """Another user of this host owns a file or folder, or may write it. The text names it, and what to do."""


class InvalidMessage(MailerError, ValueError):
    """Input that can never become a mail.

    ``field`` is the argument at fault (``"to"``, ``"headers[X-Campaign]"``), ``problem`` what is wrong with it and
    ``remedy`` what to pass instead. ``row`` is the position in a ``send_many`` stream (0-based), where it came
    from one.
    """

    def __init__(self, field: str, problem: str, remedy: str, *, row: int | None = None) -> None:
        self.field = field
        self.problem = problem
        self.remedy = remedy
        self.row = row
        where = field if row is None else f"row {row}: {field}"
        super().__init__(f"{where}: {problem}. {remedy}")

    def __repr__(self) -> str:
        remedy = self.remedy
        if mask_addresses(without := _EXAMPLE.sub("", remedy)) != without:
            remedy = mask_addresses(remedy)
        told = mask_addresses(str(self).removesuffix(self.remedy))
        return f"{type(self).__name__}({told + remedy!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return (_again, (type(self), self.field, self.problem, self.remedy, self.row))


def _again(error: type[InvalidMessage], field: str, problem: str, remedy: str, row: int | None) -> InvalidMessage:
    return error(field, problem, remedy, row=row)


class UnknownVersion(InvalidMessage):
    """What lies in the queue was written in a version that this worker does not know."""

    def __init__(self, field: str, found: object, known: int) -> None:
        super().__init__(
            field,
            f"is of version {found!r:.40}, and this worker knows version {known}",
            "Upgrade the workers, and requeue it",
        )
        self.found = found
        self.known = known

    def __reduce__(self) -> tuple[object, ...]:
        return (UnknownVersion, (self.field, self.found, self.known))


class InvalidRequest(MailerError, ValueError):
    """What an operator asked for cannot be done. The text says why, and what to do instead; nothing was changed."""


class UnknownLane(InvalidMessage, InvalidRequest):
    """There is no such lane, for a message or for an operator. The text names those that there are."""


class NotFound(MailerError, LookupError):
    """No message of that name lies there: it was requeued, dropped or sent meanwhile, or never did."""


class QueueUnavailable(MailerError):
    """Redis did not answer, or refused to write.

    ``enqueued`` is False if nothing of the call was enqueued, for sure; None if something was or may have been, which
    the text and the notes tell more about. Then an ``idempotency_key`` makes repeating the call safe.
    """

    def __init__(self, text: str, *, enqueued: Literal[False] | None = False) -> None:
        self.enqueued = enqueued
        super().__init__(text)


class Unwritable(MailerError, OSError):
    """A file on this host could not be written, for want of room or of a right. The text says what was done."""


class NotOnDisk(MailerError):
    """A durable send was accepted, but Redis did not confirm in time that it is on its disk and its replicas; the text
    says which part is missing.

    ``ids`` are the messages' (of a ``send_many`` its `MessageIds`). They are in the queue and will be sent: do not send
    them again, except under the same ``idempotency_key``. They are lost only if the machine that Redis runs on is lost
    now.
    """

    def __init__(self, text: str, ids: Sequence[str]) -> None:
        self.ids = ids
        super().__init__(text)

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (str(self), self.ids))


class SendError(MailerError):
    """SES, or the way to it, did not take a message.

    ``code`` is the error's name in SES's own words (``"MessageRejected"``, ``"454"``) or the name of the local
    failure; ``detail`` is the text that came with it, without the logins in its URLs.
    """

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        # Of a proxy or an endpoint: libcurl and botocore quote them whole.
        self.detail = mask_logins(detail)
        super().__init__(f"{code}: {self.detail}")

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.code, self.detail))


class RateExceeded(SendError):
    """Over the account's send rate; somebody else may be using it. Not accepted."""


class QuotaExceeded(SendError):
    """Over the account's 24-hour quota. Not accepted."""


class AccountStopped(SendError):
    """Sending is paused or the account is suspended: no host can send. Not accepted."""


class HostUnfit(SendError):
    """This host has no Region, no credentials, or some that AWS refuses. Not accepted; other hosts may well send."""


class Unreachable(SendError):
    """This host does not reach SES (names, network, TLS, a proxy), or gets no credentials just now. Not accepted."""


class Misdated(SendError):
    """AWS refused the signature's date, as this host's clock is off. Not accepted."""


class Denied(SendError):
    """This host's key may not send this: nothing at all, or nothing from this sender. Only the rights tell. Not
    accepted."""


class TooLate(SendError):
    """Its lease would have ended before SES's answer. Not tried."""


class Unavailable(SendError):
    """Not accepted for sure: SES said so, or the request did not go out whole. Worth another try later."""


class Rejected(SendError):
    """SES will never accept this message as it is."""


class OutcomeUnknown(SendError):
    """The request went out and no usable answer came back. Sending again may send twice."""
