"""The message: one mail to one recipient, as a value, and what SES takes of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mailer.errors import InvalidMessage
from mailer.header import check_text, kind, pairs
from mailer.masking import mask

MAX_MESSAGE_BYTES = 40 * 1024 * 1024
"""SES v2 and SMTP: the whole mail, attachments in base64."""

MAX_SUBJECT_CHARS = 998
ID_TAG = "mailer-id"
"""The SES tag that carries `Message.id`, so that an SES event can settle a send whose answer was lost."""

MAX_TAGS = 49
"""A bound of ours, with room for the tag that a delivery adds: SES's model states none."""

_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
_CONFIGURATION_SET = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TOKEN = r"[A-Za-z0-9!#$&^_.+-]+"  # noqa: S105 - RFC 6838's restricted name
_PARAMETER = rf"; ?[a-z0-9-]+=(?:{_TOKEN}|\"[ !#-\[\]-~]*\")"
_CONTENT_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}(?:{_PARAMETER})*", re.IGNORECASE | re.ASCII)
_CONTENT_ID = re.compile(r"[!-;=?-~]{1,78}")
_MAX_FILENAME_CHARS = 255
_MAX_CONTENT_TYPE_CHARS = 78
_MIME_OVERHEAD_BYTES = 2048  # the boundaries and the headers SES adds, generously
_ATTACHMENT_OVERHEAD_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that travels with a message.

    ``content_id`` (without angle brackets) makes it inline, for ``cid:`` URLs.
    """

    filename: str
    content: bytes
    content_type: str = "application/octet-stream"
    content_id: str | None = None

    def __repr__(self) -> str:
        size = f"{len(self.content):,} bytes" if isinstance(self.content, bytes) else "no bytes"
        return f"Attachment({size})"


@dataclass(frozen=True, slots=True)
class Message:
    """One mail to one recipient, validated and rendered: all that a transport needs to send it.

    ``sender``, ``to`` and ``reply_to`` are ready for the wire: ``user@example.com`` or
    ``Name <user@example.com>`` with the name encoded by RFC 2047 where it is not ASCII and the domain in
    Punycode. So are the values of ``headers``: printable ASCII. ``subject`` is one line of text, not encoded.
    """

    id: str
    sender: str
    to: str
    subject: str
    text: str | None = None
    html: str | None = None
    reply_to: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()
    configuration_set: str | None = None
    tags: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"Message({self.id}, to {mask(self.to)})"


def check_subject(subject: object) -> str:
    """``subject`` if it is one line of at most 998 characters. Raises InvalidMessage."""
    text = check_text("subject", subject, empty=True)
    if len(text) > MAX_SUBJECT_CHARS:
        raise InvalidMessage("subject", f"is {len(text)} characters long", f"At most {MAX_SUBJECT_CHARS} are sent")
    return text


def check_bodies(text: object, html: object) -> None:
    """Raises InvalidMessage unless at least one of the two is there and both are sendable text."""
    if text is None and html is None:
        raise InvalidMessage("text", "is missing, and html too", "Pass text=, html= or both")
    for field, body in (("text", text), ("html", html)):
        if body is None:
            continue
        if not isinstance(body, str):
            raise InvalidMessage(field, f"is {kind(body)}, not text", "Pass a str")
        if "\0" in body:
            raise InvalidMessage(field, "contains a NUL character", "Remove it")


def check_tags(tags: object) -> tuple[tuple[str, str], ...]:
    """SES tags (a mapping or pairs) as pairs. Raises InvalidMessage naming ``tags[<name>]``."""
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


def check_attachments(attachments: object) -> tuple[Attachment, ...]:
    """``attachments`` (a list or tuple of Attachment) as a tuple. Raises InvalidMessage naming ``attachments[i]``."""
    if not isinstance(attachments, list | tuple):
        raise InvalidMessage("attachments", f"is {kind(attachments)}", "Pass a list of mailer.Attachment")
    for position, attachment in enumerate(attachments):
        _check_attachment(f"attachments[{position}]", attachment)
    return tuple(attachments)


def _check_attachment(field: str, attachment: object) -> None:
    if not isinstance(attachment, Attachment):
        raise InvalidMessage(field, f"is {kind(attachment)}", "Pass a mailer.Attachment")
    filename = check_text(f"{field}.filename", attachment.filename)
    if len(filename) > _MAX_FILENAME_CHARS or "/" in filename or "\\" in filename:
        raise InvalidMessage(
            f"{field}.filename",
            "is a path or too long",
            f"Pass the file's name alone, at most {_MAX_FILENAME_CHARS} characters",
        )
    if not isinstance(attachment.content, bytes):
        raise InvalidMessage(f"{field}.content", f"is {kind(attachment.content)}", "Pass the file's bytes")
    content_type = check_text(f"{field}.content_type", attachment.content_type)
    if (
        len(content_type) > _MAX_CONTENT_TYPE_CHARS
        or not _CONTENT_TYPE.fullmatch(content_type)
        or content_type.lower().startswith("multipart/")
    ):
        raise InvalidMessage(
            f"{field}.content_type",
            "is not the type of a file",
            f"Write type/subtype, as application/pdf, at most {_MAX_CONTENT_TYPE_CHARS} characters",
        )
    content_id = attachment.content_id
    if content_id is not None and not (isinstance(content_id, str) and _CONTENT_ID.fullmatch(content_id)):
        raise InvalidMessage(
            f"{field}.content_id",
            "is not a content id",
            "Use 1 to 78 printable ASCII characters without spaces and angle brackets",
        )


def check_size(
    subject: str,
    text: str | None,
    html: str | None,
    headers: tuple[tuple[str, str], ...],
    attachments: tuple[Attachment, ...],
) -> None:
    """Raises InvalidMessage if the mail could be over SES's 40 MB once its parts are in base64."""
    octets = (
        _MIME_OVERHEAD_BYTES
        + base64_bytes(encoded_bytes("subject", subject))
        + base64_bytes(encoded_bytes("text", text))
        + base64_bytes(encoded_bytes("html", html))
        + sum(len(name) + len(value) for name, value in headers)
        + sum(_ATTACHMENT_OVERHEAD_BYTES + base64_bytes(len(attachment.content)) for attachment in attachments)
    )
    if octets > MAX_MESSAGE_BYTES:
        raise InvalidMessage(
            "attachments" if attachments else "html" if html else "text",
            f"makes a mail of about {octets:,} bytes in base64",
            f"SES takes {MAX_MESSAGE_BYTES:,}: put large files behind a link",
        )


def encoded_bytes(field: str, text: str | None) -> int:
    """The length of ``text`` in UTF-8. Raises InvalidMessage where it has none (half of a surrogate pair)."""
    if text is None:
        return 0
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidMessage(field, "contains half of a surrogate pair", "Pass text that UTF-8 can encode") from error


def base64_bytes(octets: int) -> int:
    """The length of ``octets`` bytes in base64 with MIME's line breaks."""
    return (octets + 56) // 57 * 78
