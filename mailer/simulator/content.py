"""The content of a message, whichever way it was sent: subject, text, HTML, headers and attachments."""

from __future__ import annotations

import base64
import json
import re
from email import policy
from email.message import EmailMessage, MIMEPart
from email.parser import BytesHeaderParser, BytesParser
from email.policy import EmailPolicy
from itertools import islice
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailer.simulator.inbox import Submission

T = TypeVar("T")

_LONGEST_READ = 1000  # characters of a header
_MOST_READ = 16_000  # of all headers
_MOST_HEADERS = 1000
_MOST_NESTED = 20
_MOST_PARTS = 2000
_BOUNDARY = re.compile(rb"boundary[ \t]*=", re.IGNORECASE)


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
    """In the order sent. For a v2 Simple message: the custom headers, and Reply-To."""
    attachments: list[Attachment]


def parse(submission: Submission) -> Content:
    """Never fails on MIME, however broken. Leaves out the parts that it cannot read."""
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


class _Bounded(EmailPolicy):
    """Reads only the beginning of a header: the standard library may take time quadratic in the length."""

    def header_fetch_parse(self, name: str, value: str) -> Any:
        return super().header_fetch_parse(name, value[:_LONGEST_READ])


def mime(data: bytes) -> EmailMessage | None:
    """The message. None if it has more parts, nested or in sequence, than a real message has.

    A hostile message could take minutes to parse, and the simulator would serve nobody meanwhile.
    """
    depth = sum(1 for _ in islice(_BOUNDARY.finditer(data), _MOST_NESTED + 1))
    if depth > _MOST_NESTED or (depth and data.count(b"\n--") > _MOST_PARTS):
        return None
    found: EmailMessage = BytesParser(_class=EmailMessage, policy=_Bounded()).parsebytes(data)  # type: ignore[assignment]
    return found


def _of_mime(data: bytes) -> Content:
    try:
        message = mime(data)
    except Exception:  # noqa: BLE001 - as in _or; parsing a broken Content-Type may already raise
        message = None
    if message is None:
        return _unread(data)
    return Content(
        subject=_or("", lambda: str(message.get("Subject", ""))),
        text=_or(None, lambda: _text(message.get_body(("plain",)))),
        html=_or(None, lambda: _text(message.get_body(("html",)))),
        headers=_headers(message),
        attachments=_or([], lambda: _attachments(message)),
    )


def _unread(data: bytes) -> Content:
    """For MIME with an unreadable structure: the headers as they are, and the rest as text."""
    message = BytesHeaderParser(policy=policy.compat32).parsebytes(data)
    body = data.replace(b"\r\n", b"\n").partition(b"\n\n")[2]
    return Content(
        subject=str(message.get("Subject", "")),
        text=body.decode(errors="replace"),
        html=None,
        headers=[(name, str(value)) for name, value in islice(message.raw_items(), _MOST_HEADERS)],
        attachments=[],
    )


def _or(default: T, read: Callable[[], T]) -> T:
    try:
        return read()
    except Exception:  # noqa: BLE001 - on broken MIME the standard library's parser may raise anything
        return default


def _headers(message: EmailMessage) -> list[tuple[str, str]]:
    """Decoded headers, up to a usual length each and in total. Longer ones stay as they were written."""
    room = _MOST_READ
    headers = []
    for name, value in islice(message.raw_items(), _MOST_HEADERS):
        room -= len(value)
        readable = len(value) <= _LONGEST_READ and room >= 0
        headers.append((name, _header(name, value) if readable else str(value)))
    return headers


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
