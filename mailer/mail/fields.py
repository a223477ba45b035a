"""The fields of a structured mail. One table defines each field's check and its forms in JSON, SES's request and MIME.

To add a field, add a row here, an attribute to `Structured` (content.py) and an argument to `Extras` (producer.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mailer.errors import InvalidMessage
from mailer.mail import attachment
from mailer.mail.address import parse
from mailer.mail.attachment import Attachment, check_attachments
from mailer.mail.header import Pairs, check_header_names, check_header_value, check_text, check_uris, kind, pairs, utf8

MAX_MESSAGE_BYTES = 40 * 1024 * 1024
"""The limit of SES v2 and SMTP for the whole mail, with attachments in base64."""

MAX_SUBJECT_CHARS = 998
ID_TAG = "mailer-id"
"""The SES tag with the message's id. With it an SES event can settle a send whose answer was lost."""

MAX_TAGS = 49
"""Our own limit; SES's model defines none. It leaves room for the tag that a delivery adds."""

_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
_CONFIGURATION_SET = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MIME_OVERHEAD_BYTES = 2048  # boundaries and the headers that SES adds, a generous estimate
_ATTACHMENT_OVERHEAD_BYTES = 1024


def check_subject(subject: object) -> str:
    """``subject`` if it is one line of at most 998 characters. Raises InvalidMessage."""
    text = check_text("subject", subject, empty=True)
    if len(text) > MAX_SUBJECT_CHARS:
        raise InvalidMessage("subject", f"is {len(text)} characters long", f"At most {MAX_SUBJECT_CHARS} are sent")
    return text


def check_bodies(text: object, html: object) -> None:
    """Raises InvalidMessage unless at least one of the two is given and both are sendable text."""
    if text is None and html is None:
        raise InvalidMessage("text", "is missing, and html too", "Pass text=, html= or both")
    for field, body in (("text", text), ("html", html)):
        if body is not None and not isinstance(body, str):
            raise InvalidMessage(field, f"is {kind(body)}, not text", "Pass a str")
        if body and "\0" in body:
            raise InvalidMessage(field, "contains a NUL character", "Remove it")


def check_tags(tags: object) -> Pairs:
    """SES tags (a mapping or pairs) as pairs. Raises InvalidMessage for ``tags[<name>]``."""
    if tags is None or tags == ():
        return ()
    checked: dict[str, str] = {}
    for name, value in pairs("tags", tags):
        for part in (name, value):
            if not isinstance(part, str) or not _TAG.fullmatch(part):
                raise InvalidMessage(
                    f"tags[{name!r:.80}]",
                    f"has {'a value' if part is value else 'a name'} that SES does not take",
                    "Use 1 to 256 of A-Z a-z 0-9 _ -",
                )
        if name in checked:
            raise InvalidMessage(f"tags[{name!r:.80}]", "is given twice", "Keep one of them")
        if name == ID_TAG:
            raise InvalidMessage(f"tags[{name!r}]", "is added to each message, with its id", "Use another name")
        checked[name] = str(value)
    if len(checked) > MAX_TAGS:
        raise InvalidMessage("tags", f"{len(checked)} tags", f"At most {MAX_TAGS} are sent")
    return tuple(checked.items())


def check_configuration_set(name: object) -> str | None:
    """``name`` if it can be the name of a configuration set, or None. Raises InvalidMessage."""
    if name is None:
        return None
    if not isinstance(name, str) or not _CONFIGURATION_SET.fullmatch(name):
        raise InvalidMessage("configuration_set", "is not a configuration set's name", "Use 1 to 64 of A-Z a-z 0-9 _ -")
    return name


def check_size(subject: str, text: str | None, html: str | None, headers: Pairs, files: tuple[Attachment, ...]) -> None:
    """Raises InvalidMessage if the mail could be over SES's 40 MB once its parts are in base64."""
    octets = (
        _MIME_OVERHEAD_BYTES
        + base64_bytes(encoded_bytes("subject", subject))
        + base64_bytes(encoded_bytes("text", text))
        + base64_bytes(encoded_bytes("html", html))
        + sum(len(name) + len(value) for name, value in headers)
        + sum(_ATTACHMENT_OVERHEAD_BYTES + base64_bytes(len(each.content)) for each in files)
    )
    if octets > MAX_MESSAGE_BYTES:
        raise InvalidMessage(
            "attachments" if files else "html" if html else "text",
            f"makes a mail of about {octets:,} bytes in base64",
            f"SES takes {MAX_MESSAGE_BYTES:,}: put large files behind a link",
        )


def encoded_bytes(field: str, text: str | None) -> int:
    """The length of ``text`` in UTF-8. Raises InvalidMessage if UTF-8 cannot encode it (half of a surrogate pair)."""
    if text is None:
        return 0
    return len(text) if text.isascii() else len(utf8(field, text))


def base64_bytes(octets: int) -> int:
    """The length of ``octets`` bytes in base64 with MIME's line breaks."""
    return (octets + 56) // 57 * 78


def _reply_to(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        value = (value,)
    if not isinstance(value, Sequence):
        raise InvalidMessage("reply_to", f"is {kind(value)}", "Pass an address or a list of them")
    field = "reply_to" if len(value) == 1 else "reply_to[{}]"
    return tuple(parse(text, field.format(position)).header for position, text in enumerate(value))


def _subject_template(subject: object) -> str:
    if not isinstance(subject, str):
        raise InvalidMessage("subject", f"is {kind(subject)}, not text", "Pass a str")
    encoded_bytes("subject", subject)
    return subject


def _headers(headers: object) -> Pairs:
    return tuple((name, check_header_value(name, value)) for name, value in check_header_names(headers))


def _header_templates(headers: object) -> Pairs:
    return tuple((name, check_text(f"headers[{name}]", value)) for name, value in check_header_names(headers))


def named(pairs: Pairs) -> list[dict[str, str]]:
    """Pairs in the form of SES's requests."""
    return [{"Name": name, "Value": value} for name, value in pairs]


def _in_utf8(text: str) -> dict[str, str]:
    return {"Data": text, "Charset": "UTF-8"}


def same(value: Any) -> Any:
    """``value`` itself, for a form that does not change the field."""
    return value


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a structured mail. An empty value appears in no form.

    ``check`` converts the value from a caller to the value to keep, and raises InvalidMessage. ``check_template`` does
    the same for a field that is a template. ``member`` is the field's name in SES's SendEmail, at ``place``, and
    ``shape`` makes its value there. ``header`` is its name in MIME, and ``words`` makes its value there.
    """

    name: str
    check: Callable[[Any], Any]
    check_template: Callable[[Any], Any] | None = None
    to_json: Callable[[Any], Any] = same
    from_json: Callable[[Any], Any] = same
    place: Literal["request", "simple", "body"] = "request"
    member: str = ""
    shape: Callable[[Any], Any] = same
    header: str = ""
    words: Callable[[Any], Sequence[str]] = lambda value: (value,)


_ROWS = (
    Field("sender", lambda value: parse(value, "sender").header, member="FromEmailAddress", header="From"),
    # `mailer.ses.mime` writes it in MIME.
    Field("subject", check_subject, _subject_template, place="simple", member="Subject", shape=_in_utf8),
    # `check_bodies` checks the two together.
    Field("text", same, place="body", member="Text", shape=_in_utf8),
    Field("html", same, place="body", member="Html", shape=_in_utf8),
    Field("reply_to", _reply_to, to_json=list, member="ReplyToAddresses", shape=list, header="Reply-To", words=same),
    # In MIME each header is a line.
    Field("headers", _headers, _header_templates, to_json=dict, place="simple", member="Headers", shape=named),
    Field(
        "attachments",
        check_attachments,
        to_json=lambda value: [attachment.to_json(each) for each in value],
        from_json=attachment.from_json,
        place="simple",
        member="Attachments",
        shape=lambda value: [attachment.member(each) for each in value],
    ),
    Field(
        "configuration_set",
        check_configuration_set,
        member="ConfigurationSetName",
        header="X-SES-CONFIGURATION-SET",
    ),
    # The request and MIME get them together with the message's id.
    Field("tags", check_tags, to_json=dict),
    # Rendering turns them into headers.
    Field("list_unsubscribe", check_uris, to_json=list),
)
FIELDS: Mapping[str, Field] = {field.name: field for field in _ROWS}
_INSTEAD = {
    **dict.fromkeys(
        ("cc", "bcc"), "Each recipient gets a mail: name them in to=[...], or pass a mail in MIME to send_raw"
    ),
    **dict.fromkeys(("from", "from_", "from_email"), "Use sender="),
    **dict.fromkeys(("body", "message"), "Use text=, html= or both"),
    "templates": "Pass variables=: then the texts are templates",
    "template": "Pass variables=: then the texts are templates",
}


def check_names(given: Iterable[str]) -> None:
    """Raises InvalidMessage for a name that is not a field of a mail."""
    for name in given:
        if name not in FIELDS:
            raise InvalidMessage(
                f"{name:.80}", "is not an argument of a mail", _INSTEAD.get(name, f"Use one of {', '.join(FIELDS)}")
            )
