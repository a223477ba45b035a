"""The v2 API's SendBulkEmail: one template to many. One answer holds a status for each entry.

A problem with the call's form, with its template, or with the right of the account or the configuration set to send
refuses the whole call. A problem with an entry's addresses, data, rate or quota becomes the status of that entry. For
some conditions it is not known in public which of the two SES does. SES, too, refuses the whole call for a missing
template or a paused account.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from mailer.simulator.address import mailbox
from mailer.simulator.api import members, outbound
from mailer.simulator.attempt import Attempt
from mailer.simulator.errors import BAD_REQUEST, Refused, SesError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mailer.simulator.account import Account
    from mailer.simulator.exchange import Reply
    from mailer.simulator.service import Service

_MOST_ENTRIES = 50


class Result(NamedTuple):
    """The result of one entry. ``ses_id`` is None where there is an ``error``."""

    status: str
    error: str
    ses_id: str | None


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


def send(
    service: Service,
    account: Account,
    calls: list[dict[str, Any]],
    invocation_id: str | None,
    write: Callable[[list[Result]], Reply],
) -> Attempt[Reply]:
    """Send the calls in order, each under its own faults. A fault of the wire spoils the answer to all of them."""
    results: list[Result] = []
    delay, spoilt = 0.0, None
    for call in calls:
        try:
            submission = outbound.submission(call, account, invocation_id)
        except Refused as refused:
            results.append(_result(service.refuse(refused.error)))
            continue
        entry = service.attempt(
            "send", "http", account.region, partial(service.submit, submission), recipients=submission.recipients
        )
        delay += entry.delay
        spoilt = entry.fault or spoilt
        if entry.error is not None:
            results.append(_result(entry.error))
        elif entry.taken is not None:
            results.append(Result("SUCCESS", "", entry.taken))
        else:
            break
    return Attempt(write(results), fault=spoilt, delay=delay)


def _result(error: SesError) -> Result:
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
