"""Content: the part that all messages of one send share. It is stored once, and its hash identifies it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, replace
from dataclasses import fields as dataclass_fields
from functools import cached_property
from typing import Any, ClassVar

import orjson

from mailer.errors import InvalidMessage, UnknownVersion
from mailer.mail.address import parse
from mailer.mail.attachment import Attachment
from mailer.mail.fields import (
    FIELDS,
    MAX_MESSAGE_BYTES,
    base64_bytes,
    check_bodies,
    check_size,
    check_subject,
    encoded_bytes,
)
from mailer.mail.header import MAX_HEADERS, Pairs, check_header_value, unsubscribe_headers
from mailer.mail.template import GROWTH, Template, compiled
from mailer.mail.template.bounds import MAX_CHARS, MAX_SOURCE_CHARS, MAX_TOKENS, Meter
from mailer.masking import mask

VERSION = 1
_HASH_CHARS = 32
_NAMED = 20
_BYTES_PER_TOKEN = 500


@dataclass(frozen=True)
class Structured:
    """A mail made of fields, with one attribute for each row of `FIELDS`. Create it with `of` or `from_bytes`:
    both validate.

    If ``templates`` is true, ``subject``, ``text``, ``html``, the values of ``headers`` and ``list_unsubscribe`` are
    templates. Otherwise they are literal. ``sender`` and ``reply_to`` are in wire form: ``user@example.com`` or ``Name
    <user@example.com>``, with a non-ASCII name encoded by RFC 2047 and the domain in Punycode. Literal values of
    ``headers`` are in wire form too: printable ASCII. ``subject`` is one line of text, not encoded.
    """

    is_ascii: ClassVar[bool] = True
    """Whether a server without 8BITMIME accepts the mail. It does: `mailer.ses.mime` encodes all parts."""

    sender: str
    subject: str
    text: str | None = None
    html: str | None = None
    templates: bool = False
    reply_to: tuple[str, ...] = ()
    headers: Pairs = ()
    attachments: tuple[Attachment, ...] = ()
    configuration_set: str | None = None
    tags: Pairs = ()
    list_unsubscribe: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Structured(from {mask(self.sender)})"

    @classmethod
    def of(cls, *, templates: bool = False, **given: object) -> Structured:
        """The validated content. ``given`` are fields. Raises InvalidMessage for the invalid field."""
        check_bodies(given.get("text"), given.get("html"))
        checked: dict[str, Any] = {}
        for name, value in given.items():
            field = FIELDS[name]
            check = field.check_template if templates and field.check_template is not None else field.check
            checked[name] = check(value)
        content = cls(templates=templates, **checked)
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

    def as_json(self) -> dict[str, Any]:
        """The non-empty fields in JSON form."""
        values = ((field, getattr(self, name)) for name, field in FIELDS.items())
        return {field.name: field.to_json(value) for field, value in values if value not in (None, ())}

    @classmethod
    def from_json(cls, given: Mapping[str, Any], *, templates: bool = False) -> Structured:
        """Make a validated content from the result of `as_json`. Raises InvalidMessage."""
        for required in ("sender", "subject"):
            if required not in given:
                raise InvalidMessage(required, "is missing", f"Pass {required}=")
        fields = {name: FIELDS[name].from_json(value) for name, value in given.items()}
        return cls.of(templates=templates, **fields)

    @cached_property
    def encoded(self) -> bytes:
        """The canonical form: the same content gives the same bytes."""
        form = {"v": VERSION} | ({"templates": True} if self.templates else {}) | self.as_json()
        return json.dumps(form, ensure_ascii=False, separators=(",", ":")).encode()

    @cached_property
    def hash(self) -> str:
        """32 hex digits that identify this content."""
        return hash_of(self.encoded)

    @classmethod
    def from_bytes(cls, data: bytes) -> Structured:
        """Decode and validate a content from its `encoded` bytes. Raises InvalidMessage."""
        fields = stored_fields(data, {"templates", *FIELDS})
        templates = fields.pop("templates", False)
        if not isinstance(templates, bool):
            raise InvalidMessage("content.templates", "is not true or false", "Send the message again")
        return cls.from_json(fields, templates=templates)

    @property
    def sender_address(self) -> str:
        """The envelope's address."""
        return parse(self.sender, "sender").address

    @cached_property
    def names(self) -> frozenset[str]:
        """The variables that the templates may read."""
        return frozenset().union(*(template.names for template in self._templates.all))

    @property
    def weight(self) -> int:
        """The approximate memory of its compiled templates in bytes."""
        return self._templates.tokens * _BYTES_PER_TOKEN if self.templates else 0

    def check(self, variables: Mapping[str, object], encoded: str) -> None:
        """Raises InvalidMessage if `render` would do so for ``variables``. ``encoded`` is their JSON.

        Renders only templates that can fail. Templates of plain values, conditions and harmless filters cannot.
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
            # Render with the values that the worker will have. JSON removes a defaultdict's defaults, an Enum's name
            # and other Python features.
            self.render(json.loads(encoded))
        elif templates.headed:
            self._render_headed(variables, Meter())

    def render(self, variables: Mapping[str, object], meter: Meter | None = None) -> Structured:
        """The literal content for one recipient, with all headers in ``headers``. ``meter`` limits the work of the
        templates.

        Checks the rendered values again. Raises InvalidMessage for a line break in a rendered subject or header, for a
        missing variable, and for a mail over 40 MB.
        """
        if not self.templates:
            return self._literal
        meter = meter or Meter()
        subject, headers = self._render_headed(variables, meter)
        templates = self._templates
        text = templates.text.render(variables, meter) if templates.text else None
        html = templates.html.render(variables, meter) if templates.html else None
        check_bodies(text, html)
        check_size(subject, text, html, headers, self.attachments)
        # Same as `replace`, in a tenth of the time.
        rendered = object.__new__(Structured)
        rendered.__dict__.update(self._alike)
        rendered.__dict__.update(subject=subject, text=text, html=html, headers=headers)
        return rendered

    @cached_property
    def _literal(self) -> Structured:
        if not self.list_unsubscribe:
            return self
        return replace(self, headers=self.headers + unsubscribe_headers(self.list_unsubscribe), list_unsubscribe=())

    @cached_property
    def _alike(self) -> dict[str, Any]:
        """The fields that all contents rendered from this one share."""
        fields = {field.name: getattr(self, field.name) for field in dataclass_fields(self)}
        return fields | {"templates": False, "list_unsubscribe": ()}

    def _render_headed(self, variables: Mapping[str, object], meter: Meter) -> tuple[str, Pairs]:
        if not self.templates:
            return self.subject, self._literal.headers
        templates = self._templates
        subject = check_subject(templates.subject.render(variables, meter))
        headers = tuple(
            (name, check_header_value(name, value.render(variables, meter))) for name, value in templates.headers
        )
        if templates.unsubscribe:
            headers += unsubscribe_headers(tuple(uri.render(variables, meter) for uri in templates.unsubscribe))
        return subject, headers

    @cached_property
    def _templates(self) -> _Templates:
        return _Templates(self)


class _Templates:
    """The compiled templates of one content."""

    def __init__(self, content: Structured) -> None:
        self.tokens = self.chars = 0
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
        # Half of the rest is a safe bound without an exact sum: base64 adds a third and line breaks.
        self.room = (MAX_MESSAGE_BYTES - files) // 2

    def _compiled(self, source: str, field: str) -> Template:
        template = compiled(source, field)
        self.tokens += template.tokens
        self.chars += template.chars
        if self.chars > MAX_SOURCE_CHARS:
            raise InvalidMessage(
                field,
                f"and the other templates have more than {MAX_SOURCE_CHARS:,} characters",
                "Attach images and other data to the mail",
            )
        if self.tokens > MAX_TOKENS:
            raise InvalidMessage(
                field, f"and the other templates have more than {MAX_TOKENS:,} words and signs in tags", "Simplify them"
            )
        return template


# None is not among them: null counts as missing, and cannot be printed.
_SCALARS = frozenset({str, int, float, bool})


def hash_of(data: bytes) -> str:
    """The hash that identifies a content with these bytes: 32 hex digits of SHA-256."""
    return hashlib.sha256(data).hexdigest()[:_HASH_CHARS]


def stored_fields(data: bytes, known: AbstractSet[str]) -> dict[str, Any]:
    """Decode the JSON of a stored content. Raises InvalidMessage for a field that is not ``known``."""
    try:
        fields = _decoded(data)
    except (ValueError, RecursionError) as error:
        raise InvalidMessage("content", "is not JSON", "Send the message again") from error
    if not isinstance(fields, dict):
        raise InvalidMessage("content", "is not a JSON object", "Send the message again")
    version = fields.pop("v", None)
    if version != VERSION or isinstance(version, bool):
        raise UnknownVersion("content", version, VERSION)
    if not fields.keys() <= known:
        raise InvalidMessage("content", "has unknown fields", "Upgrade the workers before the producers")
    return fields


def _decoded(data: bytes) -> Any:
    """Decode JSON. orjson makes each text by itself. The standard library first makes one text of all bytes: with an
    emoji in it, each of its characters has four bytes."""
    with suppress(orjson.JSONDecodeError):
        return orjson.loads(data)
    # orjson refuses half of a surrogate pair, and NaN.
    return json.loads(data)
