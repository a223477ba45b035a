"""Email templates by name. Sending mail with one renders it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from mailer.simulator.errors import ALREADY_EXISTS, BAD_REQUEST, LIMIT, TEMPLATE_MISSING, Refused
from mailer.simulator.rendering import Template

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MOST = 20_000


@dataclass(frozen=True, slots=True)
class EmailTemplate:
    """``name`` is empty for a template that came with the mail. At least one part is present."""

    name: str
    subject: str | None
    text: str | None
    html: str | None
    created_at: float = 0.0

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


def _whole(text: str) -> str:
    """Replace lone surrogates. JSON can carry them, mail cannot."""
    return text.encode(errors="replace").decode()
