"""Reads one mail from the v2 API's SendEmail and checks it as SES does.

Sections 2 and 9 of the facts sheet list SES's known texts. The v1 API's sends also come here, in the same form.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any

from mailer.simulator import mime
from mailer.simulator.address import mailbox
from mailer.simulator.api import members, templates
from mailer.simulator.errors import BAD_REQUEST, NOT_JSON, TOO_LARGE, Refused
from mailer.simulator.inbox import RenderingFailure, Submission
from mailer.simulator.rendering import AttributeMissing, TemplateInvalid
from mailer.simulator.resources.template import EmailTemplate, Rendered
from mailer.simulator.service import MAX_MESSAGE_BYTES, MAX_RECIPIENTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailer.simulator.account import Account

_HEADER_NAME = re.compile(r"[!-9;-@A-~]{1,126}")
_HEADER_VALUE = re.compile(r"[ -~]{1,995}")
_HEADER_LONGEST = 996
_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
_MAX_HEADERS = 15
_TEMPLATE_ARN = re.compile(r"arn:[^:]+:ses:[^:]+:[^:]+:template/(.+)")
_FORMS = ("Simple", "Raw", "Template")


def read(body: bytes, account: Account, invocation_id: str | None) -> Submission:
    """The submission in a SendEmail body. Raises ``Refused`` in SES's words."""
    return submission(members.call_in(body), account, invocation_id, body=body)


def submission(
    call: Mapping[str, Any],
    account: Account,
    invocation_id: str | None,
    *,
    body: bytes | None = None,
    most_bytes: int = MAX_MESSAGE_BYTES,
) -> Submission:
    """The submission in a SendEmail call. ``body`` is its source, if that has this form."""
    recipients = recipients_in(members.mapping(call, "Destination"))
    for address in members.strings(call, "ReplyToAddresses"):
        mailbox(address)
    feedback = members.optional(call, "FeedbackForwardingEmailAddress")
    if feedback is not None:
        mailbox(feedback)
    given = members.optional(call, "FromEmailAddress")
    sender = None if given is None else mailbox(given)
    tags = tags_in(call, "EmailTags")
    configuration_set = members.optional(call, "ConfigurationSetName") or None

    content = members.mapping(call, "Content", required=True)
    form = next((form for form in _FORMS if content.get(form) is not None), None)
    failure = None
    if form == "Raw":
        envelope = _raw(content, most_bytes)
        return Submission(
            region=account.region,
            transport="http",
            sender=_present(sender or envelope.sender),
            recipients=_counted(recipients or tuple(mailbox(address) for address in envelope.recipients)),
            form="mime",
            data=envelope.data,
            # SES does not merge the two.
            tags=tags or envelope.tags,
            configuration_set=configuration_set or envelope.configuration_set,
            invocation_id=invocation_id,
        )
    if form == "Template":
        wanted = members.mapping(content, "Template")
        template = template_in(wanted, account)
        data = templates.data_in(members.optional(wanted, "TemplateData"))
        _check_headers(wanted, "content.template.headers")
        rendered, failure = _rendered(template, data)
        call = in_simple_form(rendered, wanted, call)
        content, body = call["Content"], None
    elif form is None:
        raise members.constraint("content", f"Member must have one of: {', '.join(_FORMS)}")
    data_sent = _written(call) if body is None else body
    _check_simple(members.mapping(content, "Simple"), len(data_sent), most_bytes)
    return Submission(
        region=account.region,
        transport="http",
        sender=_present(sender),
        recipients=_counted(recipients),
        form="v2",
        data=data_sent,
        tags=tags,
        configuration_set=configuration_set,
        invocation_id=invocation_id,
        rendering_failure=failure,
    )


def recipients_in(destination: Mapping[str, Any]) -> tuple[str, ...]:
    """The bare addresses of a ``Destination``."""
    return tuple(
        mailbox(address)
        for field in ("ToAddresses", "CcAddresses", "BccAddresses")
        for address in members.strings(destination, field)
    )


def template_in(wanted: Mapping[str, Any], account: Account) -> EmailTemplate:
    """The stored template that a ``Template`` names, or the template that it contains."""
    given = [name for name in ("TemplateName", "TemplateArn", "TemplateContent") if wanted.get(name) is not None]
    if len(given) != 1:
        text = "Template must specify exactly one of TemplateName, TemplateArn, or TemplateContent."  # U
        raise Refused(BAD_REQUEST.saying(text))
    if given == ["TemplateContent"]:
        return templates.read("", members.mapping(wanted, "TemplateContent"))
    name = members.required(wanted, given[0])
    arn = _TEMPLATE_ARN.fullmatch(name)
    return account.resources.templates.get(arn[1] if arn else name)


def in_simple_form(rendered: Rendered, wanted: Mapping[str, Any], call: Mapping[str, Any]) -> dict[str, Any]:
    """A SendEmail call with the rendered template as its content."""
    body = {
        name: {"Data": part} for name, part in (("Text", rendered.text), ("Html", rendered.html)) if part is not None
    }
    simple = {"Subject": {"Data": rendered.subject or ""}, "Body": body}
    kept = {name: wanted[name] for name in ("Headers", "Attachments") if wanted.get(name) is not None}
    return {**call, "Content": {"Simple": {**simple, **kept}}}


def _rendered(template: EmailTemplate, data: Mapping[str, Any]) -> tuple[Rendered, RenderingFailure | None]:
    """Render the template. SES takes the mail even if that fails; only an event reports it."""
    try:
        return template.render(data), None
    except (AttributeMissing, TemplateInvalid) as failure:
        unrendered = Rendered(template.subject, template.text, template.html)
        return unrendered, RenderingFailure(template.name, str(failure))


def _written(call: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(call).encode()
    except RecursionError:
        raise Refused(NOT_JSON.saying("The request is nested too deeply")) from None


def _present(sender: str | None) -> str:
    if sender is None:
        raise Refused(BAD_REQUEST.saying("Missing required header 'From'."))
    return sender


def _counted(recipients: tuple[str, ...]) -> tuple[str, ...]:
    if not recipients:
        raise Refused(BAD_REQUEST.saying("Missing required header 'To'."))
    if len(recipients) > MAX_RECIPIENTS:
        raise Refused(BAD_REQUEST.saying(f"Recipient count exceeds {MAX_RECIPIENTS}."))
    return recipients


def _raw(content: Mapping[str, Any], most_bytes: int) -> mime.Envelope:
    encoded = members.required(members.mapping(content, "Raw"), "Data")
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(NOT_JSON.saying("Raw.Data is not valid base64")) from None
    if not data:
        raise members.constraint("content.raw.data", "Member must not be empty")
    _check_size(len(data), most_bytes)
    return mime.read(data)


def _check_simple(simple: Mapping[str, Any], body_length: int, most_bytes: int) -> None:
    size = _content(simple, "Subject", required=True)
    parts = members.mapping(simple, "Body", required=True)
    size += _content(parts, "Text") + _content(parts, "Html")
    _check_headers(simple, "content.simple.headers")
    if simple.get("Attachments") is not None:
        size += sum(_attachment(attachment) for attachment in members.mappings(simple, "Attachments"))
    # JSON is never shorter than its content, so the usual small message needs no sum.
    if body_length > most_bytes:
        _check_size(size, most_bytes)


def _content(parent: Mapping[str, Any], field: str, *, required: bool = False) -> int:
    """Check a ``{"Data": ..., "Charset": ...}`` and return its length in characters."""
    if parent.get(field) is None and not required:
        return 0
    return len(members.required(members.mapping(parent, field, required=required), "Data"))


def _check_headers(parent: Mapping[str, Any], member: str) -> None:
    if parent.get("Headers") is None:
        return
    headers = members.mappings(parent, "Headers")
    if len(headers) > _MAX_HEADERS:
        raise members.constraint(member, f"Member must have length less than or equal to {_MAX_HEADERS}")
    for header in headers:
        name, value = members.required(header, "Name"), members.required(header, "Value")
        if not _HEADER_NAME.fullmatch(name):
            raise members.constraint(
                f"{member}.name", f"Member must satisfy regular expression: {_HEADER_NAME.pattern}"
            )
        if not _HEADER_VALUE.fullmatch(value):
            raise members.constraint(
                f"{member}.value", f"Member must satisfy regular expression: {_HEADER_VALUE.pattern}"
            )
        if len(name) + len(value) > _HEADER_LONGEST:
            raise members.constraint(member, f"Name and Value must have at most {_HEADER_LONGEST} characters together")


def _attachment(attachment: Mapping[str, Any]) -> int:
    """Check an attachment and return its length in base64."""
    encoded = members.required(attachment, "RawContent")
    members.required(attachment, "FileName")
    try:
        base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(NOT_JSON.saying("RawContent is not valid base64")) from None
    return len(encoded)


def tags_in(parent: Mapping[str, Any], member: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    if parent.get(member) is None:
        return tags
    for tag in members.mappings(parent, member):
        name, value = members.required(tag, "Name"), members.required(tag, "Value")
        if not (_TAG.fullmatch(name) and _TAG.fullmatch(value)):
            raise members.constraint(member, f"Member must satisfy regular expression: {_TAG.pattern}")
        tags[name] = value
    return tags


def _check_size(size: int, most_bytes: int) -> None:
    if size > most_bytes:
        raise Refused(TOO_LARGE.saying(f"Message length is more than {most_bytes} bytes long: '{size}'."))
