"""A message as RFC 5322 bytes, for SES's SMTP interface.

This module writes the header block without `email.policy.SMTP`. That policy folds a long List-Unsubscribe URL into an
encoded word, which no mail program follows. With a longer line limit it makes encoded words longer than RFC 2047
allows. The addresses and headers of a content are already in wire form. Everything is 7-bit: SES's server may pass mail
to a server that is not 8-bit clean.
"""

from __future__ import annotations

import re
from base64 import encodebytes
from email.charset import QP, Charset
from email.header import Header
from email.message import Message as Part
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import compat32
from email.quoprimime import body_check
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import quote

from mailer.errors import Rejected
from mailer.mail.fields import FIELDS, ID_TAG, base64_bytes
from mailer.mail.raw import Raw

if TYPE_CHECKING:
    from mailer.mail.attachment import Attachment
    from mailer.mail.content import Structured
    from mailer.mail.message import Message

# RFC 5322 allows 998 characters in a line, without its end.
_MAX_LINE_CHARS = 998
_LONG_LINE = re.compile(rf"[^\n]{{{_MAX_LINE_CHARS + 1},}}")
_BREAKS = re.compile(r"[\r\n\0]")
_PIECE_CHARS = 20  # of a file name; percent-encoding makes at most twelve characters of each
_LINE_BREAK = re.compile(r"\r\n|\r|\n")

_POLICY = compat32.clone(linesep="\r\n", max_line_length=None)
_UNESCAPED = bytes(octet for octet in range(256) if not body_check(octet)) + b"\n"
_QUOTED_PRINTABLE = Charset("utf-8")
_QUOTED_PRINTABLE.body_encoding = QP


def encode(message: Message) -> bytes:
    """The whole mail. Every line ends in CRLF. Structured content makes only ASCII; raw content stays as it is, except
    for its line ends.

    The configuration set and the tags are in ``X-SES-...`` headers, which SES consumes. SES writes the Message-ID.
    Raises `Rejected` for a header that would break out of its line.
    """
    content = message.content
    if isinstance(content, Raw):
        return content.mime_lines(message.id)
    lines = [
        _line(field.header, *field.words(value))
        for field in FIELDS.values()
        if field.header and (value := getattr(content, field.name))
    ]
    lines += [
        _line("To", message.recipient.header),
        f"Subject: {_subject(content.subject)}\r\n",
        _line("Date", formatdate(usegmt=True)),
    ]
    lines += [_line(name, value) for name, value in content.headers]
    tags = ((ID_TAG, message.id), *content.tags)
    lines.append(_line("X-SES-MESSAGE-TAGS", *(f"{name}={value}" for name, value in tags)))
    mail = "".join(lines).encode("ascii") + _content(content).as_bytes(policy=_POLICY)
    # SMTP's final dot must stand on its own line. After an unfinished line it is text, and the server waits forever.
    return mail if mail.endswith(b"\r\n") else mail + b"\r\n"


def _content(content: Structured) -> Part:
    """multipart/mixed around multipart/related around multipart/alternative, each only if needed."""
    texts = (content.text, "plain"), (content.html, "html")
    bodies = [_text(text, subtype) for text, subtype in texts if text is not None]
    part = bodies[0] if len(bodies) == 1 else MIMEMultipart("alternative", None, bodies)
    for subtype, is_inline in (("related", True), ("mixed", False)):
        attached = [_attachment(each) for each in content.attachments if (each.content_id is not None) is is_inline]
        if attached:
            part = MIMEMultipart(subtype, None, [part, *attached])
    if "MIME-Version" not in part:
        part["MIME-Version"] = "1.0"
    return part


def _text(text: str, subtype: str) -> Part:
    lines = _LINE_BREAK.sub("\n", text)
    if lines.isascii() and not _LONG_LINE.search(lines):
        return MIMEText(lines, subtype, "us-ascii")
    octets = lines.encode()
    escaped = len(octets.translate(None, delete=_UNESCAPED))
    if len(octets) + 2 * escaped > base64_bytes(len(octets)):
        # In such a script quoted-printable triples each octet. The mail could then exceed the size that validation
        # allowed.
        return MIMEText(lines.replace("\n", "\r\n"), subtype, "utf-8")
    part = MIMEText("", subtype, "us-ascii")
    del part["Content-Transfer-Encoding"]
    part.set_payload(lines, _QUOTED_PRINTABLE)
    return part


def _attachment(attachment: Attachment) -> Part:
    part = Part(_POLICY)
    part["Content-Type"] = _safe("Content-Type", attachment.content_type)
    part["Content-Transfer-Encoding"] = "base64"
    where, filename = "attachment" if attachment.content_id is None else "inline", attachment.filename
    if filename.isascii():
        part.add_header("Content-Disposition", where, filename=filename)
    else:
        part["Content-Disposition"] = f"{where}; {_encoded(filename)}"
    if attachment.content_id is not None:
        part["Content-ID"] = _safe("Content-ID", f"<{attachment.content_id}>")
    part.set_payload(encodebytes(attachment.content).decode("ascii"))
    return part


def _encoded(filename: str) -> str:
    """The parameter in the form of RFC 2231: in one piece if a line holds it, because more mail programs read that."""
    whole = quote(filename, safe="")
    if len(whole) <= _MAX_LINE_CHARS - len("Content-Disposition: attachment; filename*=utf-8''"):
        return f"filename*=utf-8''{whole}"
    pieces = [filename[start : start + _PIECE_CHARS] for start in range(0, len(filename), _PIECE_CHARS)]
    first, *others = (quote(piece, safe="") for piece in pieces)
    return f"\n filename*0*=utf-8''{first}" + "".join(
        f";\n filename*{number}*={piece}" for number, piece in enumerate(others, start=1)
    )


def _subject(subject: str) -> str:
    if _BREAKS.search(subject):
        raise Rejected("InvalidHeader", "Subject is not one line")
    # A mail program would decode text that looks like an encoded word.
    if subject.isascii() and "=?" not in subject and len(subject) <= _MAX_LINE_CHARS - len("Subject: "):
        return subject
    return Header(subject, "utf-8", header_name="Subject").encode(linesep="\r\n")


def _line(name: str, *words: str) -> str:
    return f"{_safe('header name', name)}: " + ",\r\n ".join([_safe(name, word) for word in words]) + "\r\n"


def _safe(where: str, value: str) -> str:
    """The last guard against header injection: a worker can receive messages from foreign producers."""
    if not value.isascii() or _BREAKS.search(value):
        raise Rejected("InvalidHeader", f"{where} is not one line of ASCII")
    return value
