"""The options of `mailer send` and `mailer import` that make a mail, and the parsing of their values."""

from __future__ import annotations

import io
import mimetypes
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from mailer.cli import moments
from mailer.cli.options import LANE, WHEN
from mailer.cli.spelling import hint
from mailer.errors import InvalidMessage
from mailer.mail.attachment import Attachment
from mailer.mail.fields import MAX_MESSAGE_BYTES

_FILE: dict[str, Any] = {"exists": True, "dir_okay": False}


@dataclass(frozen=True, kw_only=True)
class Mail:
    """The typed options, one in each field, named as the producer names them."""

    sender: Annotated[
        str | None,
        Option("--from", help="The sender: user@example.com or `'Name <user@example.com>'`.", metavar="ADDRESS"),
    ] = None
    subject: Annotated[str | None, Option(help="The subject line.")] = None
    text: Annotated[str | None, Option(help="The plain text.")] = None
    html: Annotated[str | None, Option(help="The HTML.")] = None
    text_file: Annotated[Path | None, Option(help="A file with the plain text.", **_FILE)] = None
    html_file: Annotated[Path | None, Option(help="A file with the HTML.", **_FILE)] = None
    attachments: Annotated[
        list[Path] | None, Option("--attach", help="A file to attach. May be repeated.", metavar="FILE", **_FILE)
    ] = None
    lane: Annotated[str | None, Option(help="One of MAILER_LANES.", **LANE)] = None
    send_at: Annotated[str | None, Option(help="Send it then: 30m, 2h, 18:30 or 2030-01-31T09:00+01:00.", **WHEN)] = (
        None
    )
    expires_at: Annotated[str | None, Option(help="Do not send it later than this.", **WHEN)] = None
    reply_to: Annotated[list[str] | None, Option(help="Where answers go. May be repeated.", metavar="ADDRESS")] = None
    tags: Annotated[list[str] | None, Option("--tag", help="An SES tag. May be repeated.", metavar="NAME=VALUE")] = None
    headers: Annotated[
        list[str] | None, Option("--header", help="A header. May be repeated.", metavar="NAME=VALUE")
    ] = None
    configuration_set: Annotated[str | None, Option(help="An SES configuration set.", metavar="NAME")] = None
    list_unsubscribe: Annotated[
        list[str] | None, Option(help="An https: or mailto: URL to unsubscribe. May be repeated.", metavar="URL")
    ] = None
    durable: Annotated[bool, Option("--durable", help="Return once Redis has it on its disk.")] = False

    def content(self, *, files_may_be_bodies: bool = False) -> dict[str, Any]:
        """The fields of the mail itself, by the producer's keywords. With ``files_may_be_bodies`` the name of a file as
        a body stands for the file.
        """
        found = self._given(lambda name: name not in _DELIVERY and not name.endswith("_file"))
        found["text"] = _body("text", self.text, self.text_file, may_be_file=files_may_be_bodies)
        found["html"] = _body("html", self.html, self.html_file, may_be_file=files_may_be_bodies)
        found["headers"] = _pairs("--header", self.headers)
        found["attachments"] = [
            Attachment(each.name, read("--attach", each), _type_of(each.name)) for each in self.attachments or ()
        ]
        return {name: value for name, value in found.items() if value}

    def delivery(self) -> dict[str, Any]:
        """When and how it is sent, by the producer's keywords."""
        found = self._given(lambda name: name in _DELIVERY)
        for name in ("send_at", "expires_at"):
            if found[name] is not None:
                found[name] = moments.hence(f"--{name.replace('_', '-')}", found[name])
        return {**found, "tags": _pairs("--tag", self.tags)}

    def _given(self, wanted: Callable[[str], bool]) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self) if wanted(each.name)}


_DELIVERY = ("lane", "send_at", "expires_at", "tags", "configuration_set", "durable")


def checked(content: dict[str, Any]) -> dict[str, Any]:
    """``content``, which makes a whole mail. Raises InvalidMessage that names the missing option."""
    for name, option, example in (("sender", "--from", "me@example.com"), ("subject", "--subject", "Hello")):
        if name not in content:
            raise InvalidMessage(option, "is missing", f"Write for example {option} {example}")
    if "text" not in content and "html" not in content:
        raise InvalidMessage(
            "--text", "is missing or empty, and --html too", "Give --text, --html, --text-file or --html-file"
        )
    return content


def read(option: str, path: Path) -> bytes:
    """The bytes of the file. Reads no more than a mail may have."""
    with path.open("rb") as file:
        found = file.read(MAX_MESSAGE_BYTES + 1)
    if len(found) > MAX_MESSAGE_BYTES:
        raise InvalidMessage(
            option, f"{path} has more than {MAX_MESSAGE_BYTES:,} bytes", "SES takes no more: put it behind a link"
        )
    return found


_LONGEST_NAME = 255  # bytes; a check for a longer file name is an error
_SUFFIXES = (".txt", ".html", ".htm", ".md", ".j2", ".jinja", ".jinja2")


def _body(name: str, given: str | None, path: Path | None, *, may_be_file: bool) -> str | None:
    if given is not None and path is not None:
        raise InvalidMessage(f"--{name}", f"is given twice, with --{name}-file", "Give one of them")
    if path is None and given is not None and _names_a_file(given):
        if not may_be_file or not Path(given).is_file():
            raise InvalidMessage(
                f"--{name}", f"looks like the name of a file and would be sent as it is: {given}", f"Use --{name}-file"
            )
        hint(f"--{name} FILE", f"--{name}-file FILE")
        path = Path(given)
    return given if path is None else _text(f"--{name}-file", path)


def _names_a_file(body: str) -> bool:
    """Whether ``body`` is the name of a file that exists, or ends as the names of files do, of a misspelled one too."""
    if not body or "<" in body or "\n" in body or len(os.fsencode(body)) > _LONGEST_NAME:
        return False
    is_word = "://" not in body and "{" not in body and not any(each.isspace() for each in body)
    return Path(body).is_file() or (is_word and body.lower().endswith(_SUFFIXES))


def _text(option: str, path: Path) -> str:
    try:
        return io.StringIO(read(option, path).decode("utf-8-sig"), newline=None).read()
    except UnicodeDecodeError:
        raise InvalidMessage(option, f"{path} is not UTF-8", "Save the file as UTF-8") from None


def _pairs(option: str, texts: Sequence[str] | None) -> dict[str, str]:
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


_UNKNOWN_TYPE = "application/octet-stream"
_COMPRESSED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}


def _type_of(name: str) -> str:
    """For a compressed file, the type of the compression: a mail program would show ``notes.txt.gz`` as text."""
    inner, compression = mimetypes.guess_type(name)
    if compression is not None:
        return _COMPRESSED.get(compression, _UNKNOWN_TYPE)
    return inner or _UNKNOWN_TYPE
