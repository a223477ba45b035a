"""Reads MIME as SES does: sender, recipients, and the headers that SES removes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from email.utils import getaddresses
from typing import TYPE_CHECKING

from mailer.simulator.address import mailbox
from mailer.simulator.errors import BAD_REQUEST, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TAG = re.compile(r"[A-Za-z0-9_:.@-]{1,256}")
# AWS's developer guide lists these under "Header fields". To, Cc and Bcc are not in the list.
_ONLY_ONCE_NAMES = """
    Accept-Language acceptLanguage Archived-At Auto-Submitted Bounces-to Comments Content-Alternative Content-Base
    Content-Class Content-Description Content-Disposition Content-Duration Content-ID Content-Language
    Content-Length Content-Location Content-MD5 Content-Transfer-Encoding Content-Type Date Delivered-To
    Disposition-Notification-Options Disposition-Notification-To DKIM-Signature DomainKey-Signature Errors-To From
    Importance In-Reply-To Keywords List-Archive List-Help List-Id List-Owner List-Post List-Subscribe
    List-Unsubscribe List-Unsubscribe-Post Message-Context Message-ID MIME-Version Organization Original-From
    Original-Message-ID Original-Recipient Original-Subject Precedence Priority References Reply-To Return-Path
    Return-Receipt-To Sender Solicitation Sensitivity Subject Thread-Index Thread-Topic User-Agent VBR-Info
"""
_ONLY_ONCE = {name.lower(): name for name in _ONLY_ONCE_NAMES.split()}
_HEADER_END = re.compile(rb"\r?\n\r?\n")
# One of SES's own headers, with its continuation lines.
_SES_HEADER = re.compile(
    rb"^(?:X-SES-CONFIGURATION-SET|X-SES-MESSAGE-TAGS):.*(?:\r?\n[ \t].*)*(?:\r?\n|\Z)", re.IGNORECASE | re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Envelope:
    """The values of a message's headers. ``data`` is the message without SES's own headers."""

    sender: str | None
    recipients: tuple[str, ...]
    tags: Mapping[str, str]
    configuration_set: str | None
    data: bytes


def read(data: bytes) -> Envelope:
    """Read the headers of ``data`` (CRLF or LF). Raises ``Refused`` in SES's words."""
    end = _HEADER_END.search(data)
    head_length = end.end() if end else len(data)
    headers = BytesHeaderParser().parsebytes(data[:head_length])
    _check_once(headers.keys())
    sender = headers.get("From")
    named = [str(value) for name in ("To", "Cc", "Bcc") for value in headers.get_all(name, [])]
    try:
        addresses = getaddresses(named)
    except RecursionError:  # a thousand brackets
        raise Refused(BAD_REQUEST.saying("Illegal address")) from None
    return Envelope(
        sender=None if sender is None else mailbox(str(sender)),
        recipients=tuple(address for _, address in addresses if address),
        tags=tags_of(str(headers.get("X-SES-MESSAGE-TAGS", ""))),
        configuration_set=_text_or_none(headers.get("X-SES-CONFIGURATION-SET")),
        data=_SES_HEADER.sub(b"", data[:head_length]) + data[head_length:],
    )


def _check_once(names: Iterable[str]) -> None:
    seen = set()
    for name in map(str.lower, names):
        if name in seen and name in _ONLY_ONCE:
            raise Refused(BAD_REQUEST.saying(f"Duplicate header '{_ONLY_ONCE[name]}'."))
        seen.add(name)


def tags_of(text: str) -> dict[str, str]:
    """Parse ``n1=v1, n2=v2`` as SES reads the header X-SES-MESSAGE-TAGS."""
    tags = {}
    for pair in text.replace("\r", "").replace("\n", "").split(","):
        if not pair.strip():
            continue
        name, _, value = (part.strip() for part in pair.partition("="))
        if not (_TAG.fullmatch(name) and _TAG.fullmatch(value)):
            raise Refused(BAD_REQUEST.saying(f"Invalid message tag: '{pair.strip()}'."))  # U: SES's own text
        tags[name] = value
    return tags


def _text_or_none(value: object) -> str | None:
    text = "" if value is None else str(value).strip()
    return text or None
