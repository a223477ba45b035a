"""The attachment: a file sent with a message."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

from mailer.errors import InvalidMessage
from mailer.mail.header import check_text, kind

_TOKEN = r"[A-Za-z0-9!#$&^_.+-]+"  # noqa: S105 - RFC 6838's restricted name
_PARAMETER = rf"; ?[a-z0-9-]+=(?:{_TOKEN}|\"[ !#-\[\]-~]*\")"
_CONTENT_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}(?:{_PARAMETER})*", re.IGNORECASE | re.ASCII)
_CONTENT_ID = re.compile(r"[!-;=?-~]{1,78}")
_MAX_FILENAME_CHARS = 255
_MAX_CONTENT_TYPE_CHARS = 78


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file sent with a message.

    ``content_id`` (without angle brackets) makes it inline, for ``cid:`` URLs.
    """

    filename: str
    content: bytes
    content_type: str = "application/octet-stream"
    content_id: str | None = None

    def __repr__(self) -> str:
        size = f"{len(self.content):,} bytes" if isinstance(self.content, bytes) else "no bytes"
        return f"Attachment({size})"


def check_attachments(attachments: object) -> tuple[Attachment, ...]:
    """``attachments`` (None, list or tuple) as a tuple of Attachment. Raises InvalidMessage for ``attachments[i]``."""
    if attachments is None:
        return ()
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


def to_json(attachment: Attachment) -> dict[str, str]:
    """``attachment`` as JSON: ``filename``, ``content`` in base64, ``content_type``, and ``content_id`` if set."""
    fields = {
        "filename": attachment.filename,
        "content": base64.b64encode(attachment.content).decode(),
        "content_type": attachment.content_type,
    }
    if attachment.content_id is not None:
        fields["content_id"] = attachment.content_id
    return fields


def from_json(value: object) -> tuple[Attachment, ...]:
    """The attachments in ``value``: None, or a list of results of `to_json`. Raises InvalidMessage for
    ``attachments[i]``.
    """
    if value is None:
        return ()
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


def member(attachment: Attachment) -> dict[str, Any]:
    """``attachment`` in the form of SES's SendEmail. ``RawContent`` is bytes."""
    entry: dict[str, Any] = {
        "FileName": attachment.filename,
        "RawContent": attachment.content,
        "ContentType": attachment.content_type,
        "ContentTransferEncoding": "BASE64",
        "ContentDisposition": "ATTACHMENT" if attachment.content_id is None else "INLINE",
    }
    if attachment.content_id is not None:
        entry["ContentId"] = attachment.content_id
    return entry
