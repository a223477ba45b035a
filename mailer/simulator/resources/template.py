"""Email templates by name. Storing a template checks it. Sending mail with it renders it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from mailer.simulator import members
from mailer.simulator.errors import (
    ALREADY_EXISTS,
    BAD_RENDERING_DATA,
    BAD_REQUEST,
    BAD_TEMPLATE,
    LIMIT,
    MISSING_ATTRIBUTE,
    TEMPLATE_MISSING,
    Refused,
)
from mailer.simulator.page import Paging
from mailer.simulator.rendering import AttributeMissing, Template, TemplateInvalid
from mailer.simulator.resources.route import Route

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mailer.simulator.resources.route import Account

MOST_DATA_CHARACTERS = 262_144
_MOST = 20_000
_MOST_CHARACTERS = 500_000
PAGING = Paging(
    "template",
    usual=10,
    most=100,
    size_text="The page size must be between 1 and 100",
    unknown_text="Invalid PageToken <{token}>.",
)


@dataclass(frozen=True, slots=True)
class EmailTemplate:
    """``name`` is empty for a template that came with the mail. At least one part is present."""

    name: str
    subject: str | None
    text: str | None
    html: str | None
    created_at: float = 0.0

    @classmethod
    def read(cls, name: str, content: Mapping[str, Any], created_at: float = 0.0) -> EmailTemplate:
        """Read a ``TemplateContent``. Raises ``Refused`` if it is empty, too long or not a valid template."""
        template = cls(
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

    def render(self, data: Mapping[str, Any]) -> Rendered:
        """Raises ``AttributeMissing`` or ``TemplateInvalid``."""
        return Rendered(
            *(None if part is None else Template(part).render(data) for part in (self.subject, self.text, self.html))
        )


@dataclass(frozen=True, slots=True)
class Rendered:
    subject: str | None
    text: str | None
    html: str | None

    def mime(self, at: float) -> str:
        """The answer of TestRender: the message as SES would send it."""
        message = EmailMessage(policy=SMTP.clone(max_line_length=998, utf8=True))
        message["Date"] = format_datetime(datetime.fromtimestamp(at, UTC))
        message["Subject"] = " ".join(_whole(self.subject or "").split())
        message.set_content(_whole(self.text or ""))
        if self.html is not None:
            message.add_alternative(_whole(self.html), subtype="html")
        return message.as_string()


class EmailTemplates:
    def __init__(self) -> None:
        self._by_name: dict[str, EmailTemplate] = {}

    def __iter__(self) -> Iterator[EmailTemplate]:
        return iter(self._by_name.values())

    def create(self, template: EmailTemplate) -> None:
        if not template.name.strip():
            raise Refused(BAD_REQUEST.saying("TemplateName is required."))  # U
        if template.name in self._by_name:
            raise Refused(ALREADY_EXISTS.saying(f"Template {template.name} already exists."))
        if len(self._by_name) >= _MOST:
            raise Refused(LIMIT)
        self._by_name[template.name] = template

    def get(self, name: str) -> EmailTemplate:
        found = self._by_name.get(name)
        if found is None:
            raise Refused(TEMPLATE_MISSING.about(name))
        return found

    def update(self, template: EmailTemplate) -> None:
        self.get(template.name)
        self._by_name[template.name] = template

    def delete(self, name: str) -> None:
        self.get(name)
        del self._by_name[name]


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
    account.resources.templates.create(EmailTemplate.read(name, content, account.now()))
    return {}


def update(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    old = account.resources.templates.get(members.required(call, "TemplateName"))
    content = members.mapping(call, "TemplateContent", required=True)
    account.resources.templates.update(EmailTemplate.read(old.name, content, old.created_at))
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
    page, token = PAGING.page(sorted(found), call)
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
    Route("CreateEmailTemplate", "POST", "templates", create),
    Route("ListEmailTemplates", "GET", "templates", listed),
    Route("GetEmailTemplate", "GET", "templates/{TemplateName}", get),
    Route("UpdateEmailTemplate", "PUT", "templates/{TemplateName}", update),
    Route("DeleteEmailTemplate", "DELETE", "templates/{TemplateName}", delete),
    Route("TestRenderEmailTemplate", "POST", "templates/{TemplateName}/render", test_render),
)


def _whole(text: str) -> str:
    """Replace lone surrogates. JSON can carry them, mail cannot."""
    return text.encode(errors="replace").decode()
