"""One event about one message, and SES's two JSON forms of it (facts sheet, section 6)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import getaddresses
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from mailer.simulator import content

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailer.simulator.inbox import Message, Submission

Kind = Literal["Send", "Delivery", "Bounce", "Complaint", "Reject", "DeliveryDelay", "Rendering Failure"]
KINDS: tuple[Kind, ...] = ("Send", "Delivery", "Bounce", "Complaint", "Reject", "DeliveryDelay", "Rendering Failure")
Format = Literal["event", "notification"]
"""``event``: event publishing, with ``eventType`` and ``mail.tags``. ``notification``: an identity's older form."""

NOTIFIED: frozenset[Kind] = frozenset({"Delivery", "Bounce", "Complaint"})
"""The kinds that the older format has."""

ACCOUNT = "123456789012"
_MOST_HEADER_BYTES = 10 * 1024
_REPORTING_MTA = "a8-70.smtp-out.amazonses.com"
_FIELDS: dict[Kind, str] = {
    "Send": "send",
    "Delivery": "delivery",
    "Bounce": "bounce",
    "Complaint": "complaint",
    "Reject": "reject",
    "DeliveryDelay": "deliveryDelay",
    "Rendering Failure": "failure",
}


class Sending(NamedTuple):
    """The properties of a message that its events need. A copy: the inbox may drop the message itself earlier."""

    ses_id: str
    at: float
    region: str
    sender: str
    recipients: tuple[str, ...]
    tags: Mapping[str, str]
    configuration_set: str | None

    @classmethod
    def of(cls, message: Message) -> Sending:
        submission = message.submission
        return cls(
            message.ses_id,
            message.at,
            submission.region,
            submission.sender,
            submission.recipients,
            submission.tags,
            submission.configuration_set,
        )


class Event(NamedTuple):
    """``detail`` holds the properties of this kind of event, under SES's own names. ``number`` counts from 1."""

    number: int
    at: float
    kind: Kind
    sending: Sending
    recipients: tuple[str, ...]
    detail: Mapping[str, Any]
    feedback_id: str


def render(event: Event, message: Message | None, form: Format = "event") -> dict[str, Any]:
    """The event as SES writes it. Without ``message`` (no longer kept) it omits the headers, as truncated."""
    mail = _mail(event.sending, message)
    if form == "notification":
        return {
            "notificationType": event.kind,
            _FIELDS[event.kind]: _particulars(event),
            "mail": {**mail, "sourceIp": "127.0.0.1", "callerIdentity": "simulator"},
        }
    mail["tags"] = _tags(event)
    return {"eventType": event.kind, "mail": mail, _FIELDS[event.kind]: _particulars(event)}


def timestamp(at: float) -> str:
    """``2026-01-31T12:00:00.000Z``."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _particulars(event: Event) -> dict[str, Any]:
    """The object in an event that is named after its kind."""
    at, detail = timestamp(event.at), event.detail
    if event.kind == "Delivery":
        return {
            "timestamp": at,
            "processingTimeMillis": max(0, round((event.at - event.sending.at) * 1000)),
            "recipients": list(event.recipients),
            "smtpResponse": "250 2.6.0 Message received",
            "reportingMTA": _REPORTING_MTA,
        }
    if event.kind == "Bounce":
        return {
            "feedbackId": event.feedback_id,
            "bounceType": detail["bounceType"],
            "bounceSubType": detail["bounceSubType"],
            "bouncedRecipients": [{"emailAddress": each, **detail["recipient"]} for each in event.recipients],
            "timestamp": at,
            "reportingMTA": f"dsn; {_REPORTING_MTA}",
        }
    if event.kind == "Complaint":
        return {
            "feedbackId": event.feedback_id,
            "complaintSubType": detail.get("complaintSubType"),
            "complainedRecipients": [{"emailAddress": each} for each in event.recipients],
            "timestamp": at,
            **({} if detail.get("complaintSubType") else _feedback_report(at)),
        }
    if event.kind == "DeliveryDelay":
        return {
            "timestamp": at,
            "delayType": detail["delayType"],
            "expirationTime": timestamp(event.sending.at + 14 * 3600),
            "delayedRecipients": [{"emailAddress": each, **detail["recipient"]} for each in event.recipients],
        }
    return dict(detail)


def _feedback_report(at: str) -> dict[str, str]:
    return {"userAgent": "Amazon SES Mailbox Simulator", "complaintFeedbackType": "abuse", "arrivalDate": at}


def _tags(event: Event) -> dict[str, list[str]]:
    sending = event.sending
    tags = {
        "ses:source-ip": ["127.0.0.1"],
        "ses:from-domain": [sending.sender.rpartition("@")[2]],
        "ses:caller-identity": ["simulator"],
    }
    if sending.configuration_set is not None:
        tags["ses:configuration-set"] = [sending.configuration_set]
    if event.kind == "Delivery":
        tags["ses:outgoing-ip"] = ["127.0.0.1"]
    return tags | {name: [value] for name, value in sending.tags.items()}


def _mail(sending: Sending, message: Message | None) -> dict[str, Any]:
    mail: dict[str, Any] = {
        "timestamp": timestamp(sending.at),
        "source": sending.sender,
        "sourceArn": f"arn:aws:ses:{sending.region}:{ACCOUNT}:identity/{sending.sender}",
        "sendingAccountId": ACCOUNT,
        "messageId": sending.ses_id,
        "destination": list(sending.recipients),
        "headersTruncated": True,
    }
    if message is None:
        return mail
    headers, common = _headers(message)
    room, shown = _MOST_HEADER_BYTES, []
    for name, value in headers:
        room -= len(name) + len(value)
        if room < 0:
            break
        shown.append({"name": name, "value": value})
    mail |= {"headersTruncated": room < 0, "headers": shown, "commonHeaders": common}
    return mail


def _headers(message: Message) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    """The headers of the outgoing message, and SES's digest of them."""
    submission = message.submission
    parsed = content.parse(submission)
    headers = list(parsed["headers"])
    present = {name.lower() for name, _ in headers}
    made = _made(submission, parsed["subject"]) if submission.form == "v2" else []
    headers = [(name, value) for name, value in made if name.lower() not in present] + [
        (name, " ".join(value.split())) for name, value in headers
    ]
    by_name = {name.lower(): value for name, value in reversed(headers)}
    common: dict[str, Any] = {"messageId": message.ses_id}
    for field, name in (("from", "from"), ("to", "to"), ("cc", "cc"), ("replyTo", "reply-to")):
        if name in by_name:
            common[field] = _addresses(by_name[name])
    for name in ("subject", "date"):
        if name in by_name:
            common[name] = by_name[name]
    return headers, common


def _made(submission: Submission, subject: str) -> list[tuple[str, str]]:
    """The headers that SES itself writes from the call. No header shows the Bcc addresses."""
    call = json.loads(submission.data)
    destination = call.get("Destination") or {}
    addresses = (
        ("From", [call.get("FromEmailAddress") or submission.sender]),
        ("To", destination.get("ToAddresses")),
        ("Cc", destination.get("CcAddresses")),
    )
    written = [(name, ", ".join(each)) for name, each in addresses if each]
    return [*written, ("Subject", subject), ("MIME-Version", "1.0")]


def _addresses(value: str) -> list[str]:
    try:
        found = getaddresses([value])
    except RecursionError:  # a thousand brackets
        return []
    return [f"{name} <{address}>" if name else address for name, address in found]
