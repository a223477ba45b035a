"""The v2 API's operations on email templates. Storing a template checks it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mailer.simulator.api import members
from mailer.simulator.api.page import Paging
from mailer.simulator.api.route import route
from mailer.simulator.errors import BAD_RENDERING_DATA, BAD_REQUEST, BAD_TEMPLATE, MISSING_ATTRIBUTE, Refused
from mailer.simulator.rendering import AttributeMissing, Template, TemplateInvalid
from mailer.simulator.resources.template import EmailTemplate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailer.simulator.account import Account

MOST_DATA_CHARACTERS = 262_144
_MOST_CHARACTERS = 500_000
_PAGING = Paging(
    "template",
    usual=10,
    most=100,
    size_text="The page size must be between 1 and 100",
    unknown_text="Invalid PageToken <{token}>.",
)


def read(name: str, content: Mapping[str, Any], created_at: float = 0.0) -> EmailTemplate:
    """Read a ``TemplateContent``. Raises ``Refused`` if it is empty, too long or not a valid template."""
    template = EmailTemplate(
        name,
        members.optional(content, "Subject"),
        members.optional(content, "Text"),
        members.optional(content, "Html"),
        created_at,
    )
    parts = [part for part in (template.subject, template.text, template.html) if part is not None]
    if not any(part.strip() for part in parts):
        raise Refused(BAD_TEMPLATE.saying("Template must have at least a subject, text, or html part."))  # U
    if sum(map(len, parts)) > _MOST_CHARACTERS:
        raise Refused(BAD_TEMPLATE.saying("Template length is more than 500 KB."))  # U
    for part in parts:
        try:
            Template(part)
        except TemplateInvalid as invalid:
            raise Refused(BAD_TEMPLATE.saying(f"Template is not valid: {invalid}.")) from None  # U
    return template


def data_in(text: str | None) -> dict[str, Any]:
    """Parse ``TemplateData``: a JSON object in a string."""
    if text is None or not text.strip():
        return {}
    if len(text) > MOST_DATA_CHARACTERS:
        raise members.constraint(
            "templateData", f"Member must have length less than or equal to {MOST_DATA_CHARACTERS}"
        )
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise Refused(BAD_REQUEST.saying("The template data is invalid"))
    return data


def create(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    name = members.required(call, "TemplateName")
    content = members.mapping(call, "TemplateContent", required=True)
    account.resources.templates.create(read(name, content, account.now()))
    return {}


def update(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    old = account.resources.templates.get(members.required(call, "TemplateName"))
    content = members.mapping(call, "TemplateContent", required=True)
    account.resources.templates.update(read(old.name, content, old.created_at))
    return {}


def get(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    found = account.resources.templates.get(members.required(call, "TemplateName"))
    parts = {"Subject": found.subject, "Text": found.text, "Html": found.html}
    content = {name: part for name, part in parts.items() if part is not None}
    return {"TemplateName": found.name, "TemplateContent": content}


def delete(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    account.resources.templates.delete(members.required(call, "TemplateName"))
    return {}


def listed(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    # Keys that sort in SES's order: the newest first
    found = {f"{10**12 - each.created_at:020.6f} {each.name}": each for each in account.resources.templates}
    page, token = _PAGING.page(sorted(found), call)
    shown = [{"TemplateName": found[key].name, "CreatedTimestamp": found[key].created_at} for key in page]
    return {"TemplatesMetadata": shown} if token is None else {"TemplatesMetadata": shown, "NextToken": token}


def test_render(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    template = account.resources.templates.get(members.required(call, "TemplateName"))
    text = members.required(call, "TemplateData")
    try:
        rendered = template.render(data_in(text))
    except Refused as refused:
        raise Refused(BAD_RENDERING_DATA.saying(refused.error.text)) from None
    except AttributeMissing as missing:
        raise Refused(MISSING_ATTRIBUTE.about(missing.name)) from None
    except TemplateInvalid as invalid:
        raise Refused(BAD_TEMPLATE.saying(f"Template is not valid: {invalid}.")) from None
    return {"RenderedTemplate": rendered.mime(account.now())}


ROUTES = (
    route("CreateEmailTemplate", "POST", "templates", create),
    route("ListEmailTemplates", "GET", "templates", listed),
    route("GetEmailTemplate", "GET", "templates/{TemplateName}", get),
    route("UpdateEmailTemplate", "PUT", "templates/{TemplateName}", update),
    route("DeleteEmailTemplate", "DELETE", "templates/{TemplateName}", delete),
    route("TestRenderEmailTemplate", "POST", "templates/{TemplateName}/render", test_render),
)
