"""Content: what the messages of one send share, stored once and referred to by its hash."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mailer.address import Address, parse
from mailer.errors import InvalidMessage, UnknownVersion
from mailer.header import MAX_HEADERS, check_header_names, check_header_value, check_text, kind
from mailer.masking import mask
from mailer.message import (
    MAX_MESSAGE_BYTES,
    Attachment,
    Message,
    base64_bytes,
    check_attachments,
    check_bodies,
    check_configuration_set,
    check_size,
    check_subject,
    check_tags,
    encoded_bytes,
)
from mailer.template import GROWTH, MAX_CHARS, MAX_TOKENS, Meter, Template, compiled
from mailer.unsubscribe import check_uris, unsubscribe_headers

_VERSION = 1
_HASH_CHARS = 32
_NAMED = 20
_BYTES_PER_TOKEN = 500


@dataclass(frozen=True)
class Content:
    """What a send holds besides its recipients. Make one with `of` or `from_bytes`: both validate.

    Where ``templates`` is true, ``subject``, ``text``, ``html``, the values of ``headers`` and ``list_unsubscribe``
    are templates; otherwise they are literal. ``sender`` and ``reply_to`` are ready for the wire.
    """

    sender: str
    subject: str
    text: str | None = None
    html: str | None = None
    templates: bool = False
    reply_to: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()
    configuration_set: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    list_unsubscribe: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Content(from {mask(self.sender)})"

    @classmethod
    def of(
        cls,
        *,
        sender: object,
        subject: object,
        text: object = None,
        html: object = None,
        templates: bool = False,
        reply_to: object = (),
        headers: object = None,
        attachments: object = (),
        configuration_set: object = None,
        tags: object = None,
        list_unsubscribe: object = None,
    ) -> Content:
        """The validated content. Raises InvalidMessage naming the argument at fault."""
        check_bodies(text, html)
        unsubscribe = check_uris(list_unsubscribe)
        named = check_header_names(headers)
        if templates:
            checked_headers = tuple((name, check_text(f"headers[{name}]", value)) for name, value in named)
            if not isinstance(subject, str):
                raise InvalidMessage("subject", f"is {kind(subject)}, not text", "Pass a str")
            encoded_bytes("subject", subject)
        else:
            subject = check_subject(subject)
            checked_headers = tuple((name, check_header_value(name, value)) for name, value in named)
        content = cls(
            sender=parse(sender, "sender").header,
            subject=subject,
            text=text if isinstance(text, str) else None,
            html=html if isinstance(html, str) else None,
            templates=templates,
            reply_to=_reply_to(reply_to),
            headers=checked_headers,
            attachments=check_attachments(attachments),
            configuration_set=check_configuration_set(configuration_set),
            tags=check_tags(tags),
            list_unsubscribe=unsubscribe,
        )
        content._check_together()
        return content

    def _check_together(self) -> None:
        names = {name.lower() for name, _ in self.headers}
        if self.list_unsubscribe and names & {"list-unsubscribe", "list-unsubscribe-post"}:
            raise InvalidMessage("headers[List-Unsubscribe]", "is also set by list_unsubscribe=", "Keep one of them")
        if len(self.headers) + 2 * bool(self.list_unsubscribe) > MAX_HEADERS:
            raise InvalidMessage(
                "headers",
                f"are {len(self.headers)}" + (", and two for list_unsubscribe" if self.list_unsubscribe else ""),
                f"SES takes {MAX_HEADERS}: remove some",
            )
        if not (self.templates and self._templates.headed):
            self._render_headed({}, Meter())
        check_size(self.subject, self.text, self.html, self.headers, self.attachments)

    @cached_property
    def encoded(self) -> bytes:
        """The canonical form: the same content gives the same bytes."""
        fields: dict[str, Any] = {"v": _VERSION, "sender": self.sender, "subject": self.subject}
        optional: dict[str, Any] = {
            "text": self.text,
            "html": self.html,
            "templates": self.templates or None,
            "reply_to": self.reply_to or None,
            "headers": self.headers or None,
            "attachments": [attachment_fields(attachment) for attachment in self.attachments] or None,
            "configuration_set": self.configuration_set,
            "tags": self.tags or None,
            "list_unsubscribe": self.list_unsubscribe or None,
        }
        fields.update((name, value) for name, value in optional.items() if value is not None)
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()

    @cached_property
    def hash(self) -> str:
        """32 hex digits that name this content."""
        return hash_of(self.encoded)

    @classmethod
    def from_bytes(cls, data: bytes) -> Content:
        """The content that `encoded` holds, validated anew. Raises InvalidMessage."""
        try:
            fields = json.loads(data)
        except ValueError as error:
            raise InvalidMessage("content", "is not JSON", "Send the message again") from error
        if not isinstance(fields, dict):
            raise InvalidMessage("content", "is not a JSON object", "Send the message again")
        version = fields.pop("v", None)
        if version != _VERSION or isinstance(version, bool):
            raise UnknownVersion("content", version, _VERSION)
        if not fields.keys() <= _FIELDS or not {"sender", "subject"} <= fields.keys():
            raise InvalidMessage("content", "has unknown or missing fields", "Upgrade the workers before the producers")
        if not isinstance(fields.get("templates", False), bool):
            raise InvalidMessage("content.templates", "is not true or false", "Send the message again")
        if "attachments" in fields:
            fields["attachments"] = attachments_from(fields["attachments"])
        return cls.of(**fields)

    @cached_property
    def names(self) -> frozenset[str]:
        """The variables that the templates may ask for."""
        return frozenset().union(*(template.names for template in self._templates.all))

    @property
    def weight(self) -> int:
        """The bytes that its templates take in memory once they are compiled, about."""
        return self._templates.tokens * _BYTES_PER_TOKEN if self.templates else 0

    def check(self, variables: Mapping[str, object], encoded: str) -> None:
        """Raises InvalidMessage if `render` would for these ``variables``, whose JSON is ``encoded``.

        Renders only what can fail: a template of plain values, conditions and harmless filters cannot.
        """
        if not self.templates:
            return
        try:
            self._check(variables, encoded)
        except InvalidMessage as error:
            needed = frozenset().union(*(template.needed for template in self._templates.all))
            missing = sorted(needed - variables.keys())
            if error.field == "variables" and len(missing) > 1:
                named = ", ".join(f"{name:.40}" for name in missing[:_NAMED])
                error = InvalidMessage("variables", f"{error.problem} (not given: {named})", error.remedy)
            raise error from None

    def _check(self, variables: Mapping[str, object], encoded: str) -> None:
        templates = self._templates
        made = templates.uses * len(encoded) * GROWTH
        safe = (
            templates.total
            and all(type(variables.get(name)) in _SCALARS for name in self.names)
            and made < MAX_CHARS
            and templates.static_bytes * GROWTH + made < templates.room
            and "\\u0000" not in encoded
        )
        if not safe:
            # As the worker will have them: without a defaultdict's defaults, an Enum's name and other Python.
            self.render("", Address("", "x", "example.com"), json.loads(encoded))
        elif templates.headed:
            self._render_headed(variables, Meter())

    def render(
        self, message_id: str, to: Address, variables: Mapping[str, object], meter: Meter | None = None
    ) -> Message:
        """The message to one recipient. ``meter`` bounds what its templates may do.

        What templates may have introduced is checked again: a line break in a rendered subject or header raises
        InvalidMessage, as does a missing variable and a mail over 40 MB.
        """
        meter = meter or Meter()
        subject, headers = self._render_headed(variables, meter)
        text, html = self.text, self.html
        if self.templates:
            templates = self._templates
            text = templates.text.render(variables, meter) if templates.text else None
            html = templates.html.render(variables, meter) if templates.html else None
            check_bodies(text, html)
            check_size(subject, text, html, headers, self.attachments)
        return Message(
            id=message_id,
            sender=self.sender,
            to=to.header,
            subject=subject,
            text=text,
            html=html,
            reply_to=self.reply_to,
            headers=headers,
            attachments=self.attachments,
            configuration_set=self.configuration_set,
            tags=self.tags,
        )

    def _render_headed(self, variables: Mapping[str, object], meter: Meter) -> tuple[str, tuple[tuple[str, str], ...]]:
        if not self.templates:
            return self.subject, self.headers + self._literal_unsubscribe
        templates = self._templates
        subject = check_subject(templates.subject.render(variables, meter))
        headers = tuple(
            (name, check_header_value(name, value.render(variables, meter))) for name, value in templates.headers
        )
        if templates.unsubscribe:
            headers += unsubscribe_headers(tuple(uri.render(variables, meter) for uri in templates.unsubscribe))
        return subject, headers

    @cached_property
    def _literal_unsubscribe(self) -> tuple[tuple[str, str], ...]:
        return unsubscribe_headers(self.list_unsubscribe)

    @cached_property
    def _templates(self) -> _Templates:
        return _Templates(self)


class _Templates:
    """The compiled templates of one content."""

    def __init__(self, content: Content) -> None:
        self.tokens = 0
        self.subject = self._compiled(content.subject, "subject")
        self.text = None if content.text is None else self._compiled(content.text, "text")
        self.html = None if content.html is None else self._compiled(content.html, "html")
        self.headers = tuple((name, self._compiled(value, f"headers[{name}]")) for name, value in content.headers)
        self.unsubscribe = tuple(self._compiled(uri, "list_unsubscribe") for uri in content.list_unsubscribe)
        bodies: list[Template] = [body for body in (self.text, self.html) if body is not None]
        headed = [self.subject, *(value for _, value in self.headers), *self.unsubscribe]
        self.all = tuple(headed + bodies)
        self.headed = any(template.names or not template.total for template in headed)
        self.total = all(template.total for template in self.all)
        self.uses = sum(template.uses for template in self.all)
        self.static_bytes = sum(encoded_bytes(template.field, template.source) for template in self.all)
        files = sum(base64_bytes(len(attachment.content)) for attachment in content.attachments)
        # Half of what remains, as a bound that needs no exact sum: base64 adds a third and line breaks.
        self.room = (MAX_MESSAGE_BYTES - files) // 2

    def _compiled(self, source: str, field: str) -> Template:
        template = compiled(source, field)
        self.tokens += template.tokens
        if self.tokens > MAX_TOKENS:
            raise InvalidMessage(
                field, f"and the other templates have more than {MAX_TOKENS:,} words and signs in tags", "Simplify them"
            )
        return template


# Without None: null is missing, and where it is printed an error.
_SCALARS = frozenset({str, int, float, bool})
_FIELDS = frozenset(Content.__dataclass_fields__)


def hash_of(data: bytes) -> str:
    """The hash that names content of these bytes: 32 hex digits of SHA-256."""
    return hashlib.sha256(data).hexdigest()[:_HASH_CHARS]


def attachment_fields(attachment: Attachment) -> dict[str, str]:
    """``attachment`` as JSON: ``filename``, ``content`` in base64, ``content_type``, ``content_id`` where set."""
    fields = {
        "filename": attachment.filename,
        "content": base64.b64encode(attachment.content).decode(),
        "content_type": attachment.content_type,
    }
    if attachment.content_id is not None:
        fields["content_id"] = attachment.content_id
    return fields


def attachments_from(value: object) -> tuple[Attachment, ...]:
    """The attachments of a list of what `attachment_fields` makes. Raises InvalidMessage naming ``attachments[i]``."""
    if not isinstance(value, list):
        raise InvalidMessage("attachments", f"is {kind(value)}", "Pass a list")
    return tuple(_attachment_from(f"attachments[{position}]", item) for position, item in enumerate(value))


def _attachment_from(field: str, item: object) -> Attachment:
    known = {"filename", "content", "content_type", "content_id"}
    if not isinstance(item, dict) or not item.keys() <= known or not {"filename", "content"} <= item.keys():
        raise InvalidMessage(
            field, "is not an attachment", "Pass filename and content (base64); content_type and content_id if needed"
        )
    try:
        content = base64.b64decode(item["content"], validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise InvalidMessage(f"{field}.content", "is not base64", "Encode the file's bytes in base64") from error
    return Attachment(**{**item, "content": content})


def _reply_to(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        value = (value,)
    if not isinstance(value, Sequence):
        raise InvalidMessage("reply_to", f"is {kind(value)}", "Pass an address or a list of them")
    field = "reply_to" if len(value) == 1 else "reply_to[{}]"
    return tuple(parse(text, field.format(position)).header for position, text in enumerate(value))
