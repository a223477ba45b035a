"""What is in a message: subject, text, HTML, headers and attachments, whichever way it was sent."""

from __future__ import annotations

import base64
import json
from email import policy
from email.message import EmailMessage, MIMEPart
from email.parser import BytesHeaderParser, BytesParser
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailer.simulator.inbox import Submission

T = TypeVar("T")


class Attachment(TypedDict):
    filename: str
    content_type: str
    size: int
    """Bytes, decoded."""
    content: str
    """Base64."""


class Content(TypedDict):
    subject: str
    text: str | None
    html: str | None
    headers: list[tuple[str, str]]
    """In the order sent. Of a v2 Simple message: the custom ones, and Reply-To."""
    attachments: list[Attachment]


def parse(submission: Submission) -> Content:
    """Never fails on MIME, however broken: what cannot be read is left out."""
    if submission.form == "v2":
        return _of_simple(json.loads(submission.data))
    return _of_mime(submission.data)


def _of_simple(call: dict[str, Any]) -> Content:
    simple = call["Content"]["Simple"]
    body = simple["Body"]
    headers = [(header["Name"], header["Value"]) for header in simple.get("Headers") or ()]
    reply_to = call.get("ReplyToAddresses")
    if reply_to:
        headers.append(("Reply-To", ", ".join(reply_to)))
    return Content(
        subject=simple["Subject"]["Data"],
        text=(body.get("Text") or {}).get("Data"),
        html=(body.get("Html") or {}).get("Data"),
        headers=headers,
        attachments=[_of_attachment(attachment) for attachment in simple.get("Attachments") or ()],
    )


def _of_attachment(attachment: dict[str, Any]) -> Attachment:
    return Attachment(
        filename=attachment["FileName"],
        content_type=attachment.get("ContentType") or "application/octet-stream",
        size=len(base64.b64decode(attachment["RawContent"])),
        content=attachment["RawContent"],
    )


def _of_mime(data: bytes) -> Content:
    try:
        message = BytesParser(_class=EmailMessage, policy=policy.default).parsebytes(data)
    except Exception:  # noqa: BLE001 - see _or; here it is a Content-Type, which decides how to go on
        return _unread(data)
    return Content(
        subject=_or("", lambda: str(message.get("Subject", ""))),
        text=_or(None, lambda: _text(message.get_body(("plain",)))),
        html=_or(None, lambda: _text(message.get_body(("html",)))),
        headers=[(name, _header(name, value)) for name, value in message.raw_items()],
        attachments=_or([], lambda: _attachments(message)),
    )


def _unread(data: bytes) -> Content:
    """Of MIME whose structure cannot be made out: the headers as they are, and the rest as text."""
    message = BytesHeaderParser(policy=policy.compat32).parsebytes(data)
    body = data.replace(b"\r\n", b"\n").partition(b"\n\n")[2]
    return Content(
        subject=str(message.get("Subject", "")),
        text=body.decode(errors="replace"),
        html=None,
        headers=[(name, str(value)) for name, value in message.items()],
        attachments=[],
    )


def _or(default: T, read: Callable[[], T]) -> T:
    try:
        return read()
    except Exception:  # noqa: BLE001 - on broken MIME the standard library's parser raises whatever it runs into
        return default


def _header(name: str, value: str) -> str:
    return _or(str(value), lambda: str(policy.default.header_fetch_parse(name, value)))


def _text(part: MIMEPart | None) -> str | None:
    if part is None:
        return None
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    charset = part.get_content_charset("utf-8")
    return _or(payload.decode("latin-1"), lambda: payload.decode(charset, errors="replace"))


def _attachments(message: EmailMessage) -> list[Attachment]:
    return [_of_part(part) for part in message.iter_attachments()] if message.is_multipart() else []


def _of_part(part: MIMEPart) -> Attachment:
    payload = part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    return Attachment(
        filename=_or("", lambda: part.get_filename() or ""),
        content_type=part.get_content_type(),
        size=len(content),
        content=base64.b64encode(content).decode(),
    )
