"""Decides the events that follow a message's acceptance: for which recipients, and when.

The mailbox simulator's addresses behave as AWS documents. Where AWS gives no type or text, this uses those of AWS's
published examples (facts sheet, section 4).
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from mailer.simulator import content
from mailer.simulator.address import is_mailbox_simulator
from mailer.simulator.events.outcomes import Outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from mailer.simulator.events.event import Kind
    from mailer.simulator.inbox import Submission

Suppressed: TypeAlias = "Callable[[str, str], Literal['BOUNCE', 'COMPLAINT'] | None]"
"""Looks up, by Region and address, why the account's suppression list has the address."""

EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
_EICAR_NAME = b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE"
_EICAR_IN_BASE64 = base64.b64encode(EICAR)[:40]  # short enough for one line, however the attachment is wrapped


class Happening(NamedTuple):
    """A future event, due in ``after`` seconds. The events in ``then`` count their time from this one."""

    after: float
    kind: Kind
    recipients: tuple[str, ...]
    detail: Mapping[str, Any]
    then: tuple[Happening, ...] = ()


def _bounce(kind: str, subtype: str, status: str, diagnostic: str) -> Mapping[str, Any]:
    recipient = {"action": "failed", "status": status, "diagnosticCode": diagnostic}
    return {"bounceType": kind, "bounceSubType": subtype, "recipient": recipient}


_HARD = _bounce("Permanent", "General", "5.1.1", "smtp; 550 5.1.1 user unknown")
_SOFT = _bounce("Transient", "MailboxFull", "4.2.2", "smtp; 452 4.2.2 The email account is over quota")
_SUPPRESSED_TEXT = (
    "Amazon SES has suppressed sending to this address because it has a recent history of bouncing as an invalid "
    "address. For more information about how to remove an address from the suppression list, see the Amazon SES "
    "Developer Guide."
)
_GLOBALLY_SUPPRESSED = _bounce("Permanent", "Suppressed", "5.1.1", _SUPPRESSED_TEXT)
_SUPPRESSED_BY_ACCOUNT = _bounce(
    "Permanent",
    "OnAccountSuppressionList",
    "5.1.1",
    "Amazon SES did not send the message to this address because it is on the suppression list for your account. "
    "For more information about removing addresses from the suppression list, see the Amazon SES Developer Guide.",
)
_COMPLAINT_BY_ACCOUNT: Mapping[str, Any] = {"complaintSubType": "OnAccountSuppressionList"}
_DELAYED: Mapping[str, Any] = {
    "delayType": "TransientCommunicationFailure",
    "recipient": {"status": "4.4.1", "diagnosticCode": "smtp; 421 4.4.1 Unable to connect to remote host"},
}
_VIRUS: Mapping[str, Any] = {"reason": "Bad content"}
_NOTHING: Mapping[str, Any] = {}


class Fates:
    """Decides events by the outcomes in force, the recipients, and the suppression list."""

    def __init__(self, outcomes: Outcomes, random: Random, suppressed: Suppressed) -> None:
        self._random = random
        self._suppressed = suppressed
        self.outcomes = outcomes

    @property
    def outcomes(self) -> Outcomes:
        return self._outcomes

    @outcomes.setter
    def outcomes(self, outcomes: Outcomes) -> None:
        self._outcomes = outcomes
        self._at_once = outcomes == Outcomes()

    def of(self, submission: Submission) -> list[Happening]:
        """Send first. Then one Delivery or Complaint per recipient, and one Bounce for all that bounce alike."""
        recipients = submission.recipients
        events = [Happening(self._outcomes.send_after.sample(self._random), "Send", recipients, _NOTHING)]
        if self._happens(self._outcomes.reject) or has_virus(submission):
            events.append(Happening(self._outcomes.bounce_after.sample(self._random), "Reject", recipients, _VIRUS))
            return events
        bounced: dict[str, list[str]] = {}
        for recipient in recipients:
            if self._at_once and self._is_ordinary(submission.region, recipient):
                events.append(Happening(0.0, "Delivery", (recipient,), _NOTHING))
                continue
            bounce = self._bounces(submission.region, recipient)
            if bounce is None:
                events.append(self._delayed(self._not_bounced(submission.region, recipient)))
            else:
                bounced.setdefault(bounce, []).append(recipient)
        for bounce, together in bounced.items():
            after = self._outcomes.bounce_after.sample(self._random)
            events.append(self._delayed(Happening(after, "Bounce", tuple(together), _BOUNCES[bounce])))
        return events

    def _bounces(self, region: str, recipient: str) -> str | None:
        """The key of the bounce in ``_BOUNCES``, or None."""
        name = mailbox_simulator_name(recipient)
        if name is not None:
            return {"bounce": "hard", "suppressionlist": "global"}.get(name)
        if self._reason(region, recipient) == "BOUNCE":
            return "account"
        outcomes = self._outcomes
        if outcomes.bounce or outcomes.soft_bounce:
            drawn = self._random.random()
            if drawn < outcomes.bounce:
                return "hard"
            if drawn < outcomes.bounce + outcomes.soft_bounce:
                return "soft"
        return None

    def _not_bounced(self, region: str, recipient: str) -> Happening:
        if self._reason(region, recipient) == "COMPLAINT":
            after = self._outcomes.bounce_after.sample(self._random)
            return Happening(after, "Complaint", (recipient,), _COMPLAINT_BY_ACCOUNT)
        name = mailbox_simulator_name(recipient)
        complains = name == "complaint" or (name is None and self._happens(self._outcomes.complaint))
        complaint = Happening(self._outcomes.complaint_after.sample(self._random), "Complaint", (recipient,), _NOTHING)
        then = (complaint,) if complains else ()
        return Happening(self._outcomes.delivery_after.sample(self._random), "Delivery", (recipient,), _NOTHING, then)

    def _delayed(self, happening: Happening) -> Happening:
        if not self._happens(self._outcomes.delay):
            return happening
        after = self._outcomes.delay_after.sample(self._random)
        return Happening(after, "DeliveryDelay", happening.recipients, _DELAYED, (happening,))

    def _is_ordinary(self, region: str, recipient: str) -> bool:
        return not is_mailbox_simulator(recipient) and self._suppressed(region, recipient) is None

    def _reason(self, region: str, recipient: str) -> str | None:
        return None if is_mailbox_simulator(recipient) else self._suppressed(region, recipient)

    def _happens(self, probability: float) -> bool:
        return probability > 0.0 and self._random.random() < probability


_BOUNCES = {"hard": _HARD, "soft": _SOFT, "global": _GLOBALLY_SUPPRESSED, "account": _SUPPRESSED_BY_ACCOUNT}


def mailbox_simulator_name(address: str) -> str | None:
    """``bounce`` for ``Bounce+label@simulator.amazonses.com``; None for any other address."""
    if not is_mailbox_simulator(address):
        return None
    return address.lower().partition("@")[0].partition("+")[0]


def has_virus(submission: Submission) -> bool:
    """Whether an attachment holds the EICAR test file."""
    data = submission.data
    # This search costs a microsecond per kilobyte. Parsing the message costs a hundred times that.
    if _EICAR_NAME not in data and _EICAR_IN_BASE64 not in data:
        return False
    attachments = content.parse(submission)["attachments"]
    return any(EICAR in base64.b64decode(attachment["content"]) for attachment in attachments)
