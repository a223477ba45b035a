"""The v2 API's SendBulkEmail: one template to many. One answer holds a status for each entry.

A problem with the call's form, with its template, or with the right of the account or the configuration set to send
refuses the whole call. A problem with an entry's addresses, data, rate or quota becomes the status of that entry. For
some conditions it is not known in public which of the two SES does. SES, too, refuses the whole call for a missing
template or a paused account.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mailer.simulator import members, outbound
from mailer.simulator.address import mailbox
from mailer.simulator.errors import BAD_REQUEST, Refused, SesError
from mailer.simulator.faults import Fault, Strike

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailer.simulator.account import Account
    from mailer.simulator.inbox import Submission
    from mailer.simulator.service import Service

_MOST_ENTRIES = 50


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one entry. ``ses_id`` is None where there is an ``error``."""

    status: str
    error: str
    ses_id: str | None


@dataclass(slots=True)
class Sent:
    """The results of a call. ``strike`` is the effect of faults on the whole answer."""

    results: list[Result] = field(default_factory=list)
    delay: float = 0.0
    fault: Fault | None = None

    @property
    def strike(self) -> Strike:
        return Strike(self.delay, after=self.fault)


def read(call: Mapping[str, Any], account: Account) -> list[dict[str, Any]]:
    """One SendEmail call per entry. Raises ``Refused`` for the whole call."""
    content = members.mapping(call, "DefaultContent", required=True)
    template = members.mapping(content, "Template", required=True)
    entries = members.mappings(call, "BulkEmailEntries", required=True)
    if not entries:
        raise members.constraint("BulkEmailEntries", "Member must have length greater than or equal to 1")
    if len(entries) > _MOST_ENTRIES:
        raise Refused(BAD_REQUEST.saying(f"Recipient count exceeds {_MOST_ENTRIES}."))  # U: so for a single mail
    sender = members.optional(call, "FromEmailAddress")
    if sender is None:
        raise Refused(BAD_REQUEST.saying("Missing required header 'From'."))
    mailbox(sender)
    outbound.tags_in(call, "DefaultEmailTags")
    outbound.template_in(template, account)
    error = account.refusal_of_sending(members.optional(call, "ConfigurationSetName") or None)
    if error is not None:
        raise Refused(error)
    return [_call(call, template, entry) for entry in entries]


def send(service: Service, account: Account, calls: list[dict[str, Any]], invocation_id: str | None) -> Sent:
    """Send the calls in order, each under its own faults. A fault of the wire spoils the answer to all of them."""
    sent = Sent()
    for call in calls:
        try:
            submission = outbound.submission(call, account, invocation_id)
        except Refused as refused:
            sent.results.append(_refused(service, refused.error))
            continue
        strike = service.faults.strike("send", "http", submission.recipients)
        sent.delay += strike.delay
        if strike.before is not None and strike.before.kind != "error":
            sent.fault = strike.before
            break
        result = _entry(service, submission, strike)
        sent.results.append(result)
        if result.ses_id is not None and strike.after is not None:
            sent.fault = strike.after
    return sent


def _entry(service: Service, submission: Submission, strike: Strike) -> Result:
    if strike.before is not None:
        return _refused(service, strike.before.answer)
    try:
        ses_id = service.submit(submission)
    except Refused as refused:
        service.faults.take_back(strike)
        return _refused(service, refused.error)
    if strike.after is not None and strike.after.kind == "error":
        return _refused(service, strike.after.answer)
    return Result("SUCCESS", "", ses_id)


def _refused(service: Service, error: SesError) -> Result:
    service.refused[error.kind] += 1
    return Result(error.bulk, error.text, None)


def _call(call: Mapping[str, Any], template: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """One entry as a SendEmail call.

    As AWS documents, an entry with no data of its own, or with ``{}``, gets the default data. SES does not merge data
    by name. It does merge tags and headers.
    """
    replacement = members.mapping(members.mapping(entry, "ReplacementEmailContent"), "ReplacementTemplate")
    data = members.optional(replacement, "ReplacementTemplateData")
    if data is None or data.strip() in {"", "{}"}:
        data = members.optional(template, "TemplateData")
    headers = {
        str(header.get("Name")).lower(): header
        for parent, name in ((template, "Headers"), (entry, "ReplacementHeaders"))
        for header in members.mappings(parent, name)
    }
    tags = {
        str(tag.get("Name")): tag
        for parent, name in ((call, "DefaultEmailTags"), (entry, "ReplacementTags"))
        for tag in members.mappings(parent, name)
    }
    return {
        "FromEmailAddress": call.get("FromEmailAddress"),
        "ReplyToAddresses": call.get("ReplyToAddresses"),
        "FeedbackForwardingEmailAddress": call.get("FeedbackForwardingEmailAddress"),
        "ConfigurationSetName": call.get("ConfigurationSetName"),
        "Destination": members.mapping(entry, "Destination", required=True),
        "EmailTags": list(tags.values()),
        "Content": {"Template": {**template, "TemplateData": data, "Headers": list(headers.values())}},
    }
