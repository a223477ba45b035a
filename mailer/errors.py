"""All errors of this package, each with the caller's next step."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from mailer.masking import mask_addresses, mask_logins

_EXAMPLE = re.compile(r"(?<![\w.+-])(?:user|jane)@example\.com\b")
"""The example addresses in our own remedies."""


class MailerError(Exception):
    """The base of all errors. The ``repr`` is masked. The text may quote addresses in SES's words."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({mask_addresses(str(self))!r})"

    def __reduce__(self) -> tuple[object, ...]:
        # An exception is copied and pickled as a call with its text alone, which not each of these errors takes.
        return (type(self).__new__, (type(self), *self.args), self.__dict__)


class SettingsError(MailerError):
    """A setting is missing or wrong. The text names the variable and a correct value."""


class NotOurs(SettingsError):
    """Another user of this host owns a file or folder, or may write it. The text names it and the remedy."""


class InvalidMessage(MailerError, ValueError):
    """Input that can never become a mail. Nothing was enqueued.

    ``field`` is the wrong argument (``"to"``, ``"headers[X-Campaign]"``), ``problem`` is its fault, and ``remedy`` is
    the correction. ``row`` is the position in a ``send_many`` stream (0-based), None outside of one.
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


class UnknownVersion(InvalidMessage):
    """Data in the queue has a version that this worker does not know."""

    def __init__(self, field: str, found: object, known: int) -> None:
        super().__init__(
            field,
            f"is of version {found!r:.40}, and this worker knows version {known}",
            "Upgrade the workers, and requeue it",
        )


class InvalidRequest(MailerError, ValueError):
    """An operator's request is impossible. The text gives the reason and the remedy. Nothing was changed."""


class UnknownLane(InvalidMessage, InvalidRequest):
    """A message or an operator names a lane that does not exist. The text names the existing lanes."""


class NotFound(MailerError, LookupError):
    """No message with this id is there. It has been requeued, dropped or sent, or it never was there."""


class QueueUnavailable(MailerError):
    """Redis did not answer, or refused to write. Try again.

    ``enqueued`` is False if the call surely enqueued nothing. It is None if the call enqueued messages, or may have
    done so; the text and the notes tell more. Then an ``idempotency_key`` makes repeating the call safe.
    """

    def __init__(self, text: str, *, enqueued: Literal[False] | None = False) -> None:
        self.enqueued = enqueued
        super().__init__(text)


class Unwritable(MailerError, OSError):
    """A file on this host could not be written. Make room, or name another file. The text says what was done."""


class NotOnDisk(MailerError):
    """Redis accepted a durable send, but did not confirm in time that its disk and its replicas have it. The text names
    the missing part.

    ``ids`` are the ids of the messages (for ``send_many`` its `MessageIds`). The messages are in the queue and will be
    sent. Send them again only under the same ``idempotency_key``. They are lost only if Redis's machine is lost now.
    """

    def __init__(self, text: str, ids: Sequence[str]) -> None:
        self.ids = ids
        super().__init__(text)


class SendError(MailerError):
    """SES, or the way to it, did not take a message.

    ``code`` is SES's name for the error (``"MessageRejected"``, ``"454"``) or the name of the local failure. ``detail``
    is the text of the error, without the logins in its URLs.
    """

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        # libcurl and botocore quote the whole URL of a proxy or an endpoint.
        self.detail = mask_logins(detail)
        super().__init__(f"{code}: {self.detail}")


class RateExceeded(SendError):
    """The send exceeded the account's rate; another sender may be using it. Not accepted: wait a moment."""


class QuotaExceeded(SendError):
    """The send exceeded the account's 24-hour quota. Not accepted: wait for the window to roll."""


class AccountStopped(SendError):
    """Sending is paused or the account is suspended: no host can send. Not accepted: a person must act in SES."""


class HostUnfit(SendError):
    """This host has no Region or no credentials, or AWS refuses its credentials. Not accepted: a person must act on
    this host. Other hosts may send."""


class Unreachable(SendError):
    """This host does not reach SES (names, network, TLS, a proxy), or cannot get credentials now. Not accepted: wait
    until it can. Other hosts may send."""


class Misdated(SendError):
    """AWS refused the signature's date, as this host's clock is off. Not accepted: correct it and send again."""


class Denied(SendError):
    """This host's key may not send this message. It may send nothing at all, or nothing from this sender; SES's answer
    is the same in both cases. Not accepted: a person must grant the right."""


class TooLate(SendError):
    """The message's lease would have ended before SES's answer. Not tried: send again at once."""


class Unavailable(SendError):
    """SES surely did not accept it: SES said so, or the request did not go out whole. Try again later."""


class Rejected(SendError):
    """SES will never accept this message as it is. Never try again."""


class OutcomeUnknown(SendError):
    """The request went out and no usable answer came. Sending again may send twice."""
