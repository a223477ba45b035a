"""Shared options of `mailer send` and `mailer import`, and the parsing of their values."""

from __future__ import annotations

import io
import mimetypes
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from mailer.cli import moments
from mailer.errors import InvalidMessage
from mailer.mail.attachment import Attachment
from mailer.mail.fields import MAX_MESSAGE_BYTES

Sender = Annotated[str, typer.Option(help="From whom: user@example.com or `'Name <user@example.com>'`.")]
Subject = Annotated[str, typer.Option(help="The subject line.")]
Lane = Annotated[str | None, typer.Option(help="One of MAILER_LANES.", show_default=False)]
SendAt = Annotated[
    str | None,
    typer.Option(help="Not before then: 30m, 2h, 18:30, or 2030-01-31T09:00+01:00.", show_default=False),
]
ExpiresAt = Annotated[str | None, typer.Option(help="Not after then, in the same form.", show_default=False)]
ReplyTo = Annotated[
    list[str] | None, typer.Option(help="Where answers go. May be repeated.", metavar="ADDRESS", show_default=False)
]
Tag = Annotated[
    list[str] | None, typer.Option(help="An SES tag. May be repeated.", metavar="NAME=VALUE", show_default=False)
]
Header = Annotated[
    list[str] | None, typer.Option(help="A header. May be repeated.", metavar="NAME=VALUE", show_default=False)
]
Attach = Annotated[
    list[Path] | None,
    typer.Option(help="A file to attach. May be repeated.", exists=True, dir_okay=False, show_default=False),
]
ConfigurationSet = Annotated[str | None, typer.Option(help="An SES configuration set.", show_default=False)]
ListUnsubscribe = Annotated[
    list[str] | None,
    typer.Option(help="https: or mailto: URL to unsubscribe at. May be repeated.", metavar="URL", show_default=False),
]

_UNKNOWN_TYPE = "application/octet-stream"
_COMPRESSED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}

Durable = Annotated[bool, typer.Option("--durable", help="Wait until Redis has it on its disk.")]


def moment(option: str, text: str | None) -> datetime | None:
    """``text`` as a time. The producer checks whether an ISO time is in the future."""
    return None if text is None else moments.hence(option, text)


def pairs(option: str, texts: Sequence[str] | None) -> dict[str, str]:
    """``NAME=VALUE`` texts as a dict."""
    found: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InvalidMessage(option, f"{text!r} is not NAME=VALUE", "Put an = between the name and the value")
        if name in found:
            raise InvalidMessage(option, f"{name} is given twice", "Give it once")
        found[name] = value
    return found


def attachments(paths: Sequence[Path] | None) -> list[Attachment]:
    """The files as attachments. Their names determine their types."""
    return [Attachment(path.name, read("attach", path), _type_of(path.name)) for path in paths or ()]


def _type_of(name: str) -> str:
    """For a compressed file, the type of the compression: a mail program would show ``notes.txt.gz`` as text."""
    inner, compression = mimetypes.guess_type(name)
    if compression is not None:
        return _COMPRESSED.get(compression, _UNKNOWN_TYPE)
    return inner or _UNKNOWN_TYPE


def read_text(option: str, path: Path | None) -> str | None:
    """The text of the file."""
    if path is None:
        return None
    try:
        return io.StringIO(read(option, path).decode("utf-8-sig"), newline=None).read()
    except UnicodeDecodeError:
        raise InvalidMessage(option, f"{path} is not UTF-8", "Save the file as UTF-8") from None


def read(option: str, path: Path) -> bytes:
    """The bytes of the file. Reads no more than a mail may have."""
    with path.open("rb") as file:
        found = file.read(MAX_MESSAGE_BYTES + 1)
    if len(found) > MAX_MESSAGE_BYTES:
        raise InvalidMessage(
            option, f"{path} has more than {MAX_MESSAGE_BYTES:,} bytes", "SES takes no more: put it behind a link"
        )
    return found
