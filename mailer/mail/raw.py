"""Raw content: MIME from the caller. Only the headers named here change; all other bytes go out unchanged.

SES accepts lines that end with CRLF or with LF alone, and so does this module. Over SMTP every line ends with CRLF, as
SMTP requires.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from email.utils import getaddresses
from functools import cached_property
from typing import ClassVar

from mailer.errors import InvalidMessage
from mailer.mail.address import parse
from mailer.mail.content import VERSION, hash_of, stored_fields
from mailer.mail.fields import ID_TAG, MAX_MESSAGE_BYTES, MAX_TAGS, check_configuration_set, check_tags
from mailer.mail.header import Pairs, kind
from mailer.mail.message_id import LONGEST_ID
from mailer.mail.template.bounds import Meter

MARK = b"raw "
"""The beginning of the stored form. JSON never begins like this."""

MAX_LINE_BYTES = 998
"""The limit of RFC 5322 and SES for a line without its end."""

# Its sender, 50 tags and a configuration set have less.
_MAX_LINE_BYTES = 64 * 1024
_HEAD_END = re.compile(rb"^\r?\n", re.MULTILINE)
_BARE_CR = re.compile(rb"\r(?!\n)")
_LONG_LINE = re.compile(rb"[^\n]{%d,}" % (MAX_LINE_BYTES + 2))
# No space before the colon: at such a line some programs end the headers, and others do not.
_HEADER = re.compile(rb"^([!-9;-~]+):(.*(?:\n[ \t].*)*)\n?", re.MULTILINE)
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_CONFIGURATION_SET = b"x-ses-configuration-set"
_TAGS = b"x-ses-message-tags"
_HIDDEN = frozenset({b"bcc", b"resent-bcc"})
_MAX_TAG_CHARS = 520
_MAX_HEAD_BYTES = 256 * 1024
_MAX_AUTHOR_CHARS = 2000


@dataclass(frozen=True)
class Raw:
    """A mail in the form of its bytes. Create it with `of` or `from_bytes`: both validate.

    ``data`` has no ``Bcc``. ``sender`` is the envelope's address if it differs from the mail's ``From``. ``tags`` and
    ``configuration_set`` come from arguments. They replace the ``X-SES-`` headers of that name, as SES's parameters do.
    All other ``X-SES-`` headers stay for SES to read.
    """

    templates: ClassVar[bool] = False
    weight: ClassVar[int] = 0

    data: bytes
    sender: str = ""
    tags: Pairs | None = None
    configuration_set: str | None = None

    def __repr__(self) -> str:
        return f"Raw({len(self.data):,} bytes)"

    @classmethod
    def of(cls, data: object, *, sender: object = None, tags: object = None, configuration_set: object = None) -> Raw:
        """The validated content, without its ``Bcc``. Raises InvalidMessage; errors in the bytes have the field
        ``raw``.
        """
        if not isinstance(data, bytes | bytearray | memoryview):
            remedy = "Pass bytes, as message.as_bytes() of the standard library makes them"
            raise InvalidMessage("raw", f"is {kind(data)}", remedy)
        _check_size(len(data))
        octets = bytes(data)
        _check_lines(octets)
        content = cls(
            data=_without(octets, _HIDDEN),
            sender="" if sender is None else parse(sender, "sender").address,
            tags=None if tags is None else check_tags(tags),
            configuration_set=check_configuration_set(configuration_set),
        )
        content._check_tags()
        content.sender_address  # noqa: B018 - raises if the mail has no sender
        _check_size(len(content.mime("x" * LONGEST_ID)))
        return content

    @cached_property
    def encoded(self) -> bytes:
        """The stored form: ``raw``, a line of JSON, and the bytes."""
        given = {"sender": self.sender or None, "tags": self.tags, "configuration_set": self.configuration_set}
        form = {"v": VERSION} | {name: value for name, value in given.items() if value is not None}
        return MARK + json.dumps(form, separators=(",", ":")).encode() + b"\n" + self.data

    @cached_property
    def hash(self) -> str:
        """32 hex digits that identify this content."""
        return hash_of(self.encoded)

    @classmethod
    def from_bytes(cls, stored: bytes) -> Raw:
        """Decode and validate a content from its `encoded` bytes. Raises InvalidMessage."""
        line, _, data = stored.partition(b"\n")
        if len(line) > _MAX_LINE_BYTES:
            raise InvalidMessage("content", f"begins with a line of {len(line):,} bytes", "Send the message again")
        fields = stored_fields(line.removeprefix(MARK), {"sender", "tags", "configuration_set"})
        return cls.of(data, **fields)

    def render(self, variables: Mapping[str, object], meter: Meter | None = None) -> Raw:  # noqa: ARG002 - as of `Structured`
        """The content for one recipient. It is the same for all."""
        return self

    def mime(self, message_id: str) -> bytes:
        """The mail for SES, with the message's id among its tags."""
        return self._written(message_id) + self._rest

    def mime_lines(self, message_id: str) -> bytes:
        """The mail for SMTP: like `mime`, but each line ends with CRLF."""
        lines = self.mime(message_id)
        if lines.count(b"\n") != lines.count(b"\r\n"):
            lines = _BARE_LF.sub(b"\r\n", lines)
        # SMTP's final dot must stand on its own line. After an unfinished line it is text, and the server waits
        # forever.
        return lines if lines.endswith(b"\r\n") else lines + b"\r\n"

    @cached_property
    def is_ascii(self) -> bool:
        """Whether a server without 8BITMIME accepts the mail."""
        return self.data.isascii()

    @cached_property
    def headers(self) -> Pairs:
        """The mail's headers, unfolded."""
        return tuple((found[1].decode(), _unfolded(found[2])) for found in _HEADER.finditer(_head_of(self.data)))

    @cached_property
    def sender_address(self) -> str:
        """The envelope's address: the given one, or that of the mail's author."""
        if self.sender:
            return self.sender
        for name in ("sender", "from"):
            for value in (value for each, value in self.headers if each.lower() == name):
                return _first_address(value, f"raw: {name.capitalize()}")
        raise InvalidMessage("raw: From", "is missing", "Write one From header")

    def _written(self, message_id: str) -> bytes:
        """The headers that this module writes. They come before all others."""
        pairs = [f"{ID_TAG}={message_id}", *self._tags]
        lines = ["X-SES-MESSAGE-TAGS: " + ",\r\n ".join(pairs)]
        if self.configuration_set is not None:
            lines.append(f"X-SES-CONFIGURATION-SET: {self.configuration_set}")
        written = "".join(f"{line}\r\n" for line in lines).encode("ascii")
        ends_in_crlf = self.data.find(b"\r\n") == self.data.find(b"\n") - 1
        return written if ends_in_crlf else written.replace(b"\r\n", b"\n")

    @cached_property
    def _tags(self) -> tuple[str, ...]:
        """``name=value`` for each tag except the message's id, as it is written."""
        if self.tags is not None:
            return tuple(f"{name}={value}" for name, value in self.tags)
        given = ",".join(value for name, value in self.headers if name.lower() == _TAGS.decode())
        return tuple(pair.strip() for pair in given.split(",") if pair.strip())

    def _check_tags(self) -> None:
        for pair in self._tags:
            if len(pair) > _MAX_TAG_CHARS:
                raise InvalidMessage("raw: X-SES-MESSAGE-TAGS", f"has a tag of {len(pair)} characters", "Shorten it")
            if pair.partition("=")[0].strip() == ID_TAG:
                raise InvalidMessage(
                    "raw: X-SES-MESSAGE-TAGS", f"has a tag {ID_TAG}, which is added with the message's id", "Rename it"
                )
        if len(self._tags) > MAX_TAGS:
            raise InvalidMessage(
                "raw: X-SES-MESSAGE-TAGS", f"has {len(self._tags)} tags", f"At most {MAX_TAGS} are sent"
            )

    @cached_property
    def _rest(self) -> bytes:
        return _without(self.data, {_TAGS} if self.configuration_set is None else {_TAGS, _CONFIGURATION_SET})


def _first_address(value: str, field: str) -> str:
    try:
        found = getaddresses([value]) if len(value) <= _MAX_AUTHOR_CHARS else []
    except RecursionError:  # for example, a thousand brackets
        found = []
    if not found:
        raise InvalidMessage(field, "cannot be read", "Write Name <user@example.com>")
    return parse(found[0][1], field).address


def _check_size(size: int) -> None:
    if size > MAX_MESSAGE_BYTES:
        raise InvalidMessage(
            "raw", f"has {size:,} bytes", f"SES takes {MAX_MESSAGE_BYTES:,}: put large files behind a link"
        )


def _head_of(data: bytes) -> bytes:
    """The headers, including the last line end, without the empty line after them."""
    end = _HEAD_END.search(data)
    return data[: end.start()] if end else data


def _without(data: bytes, unwanted: AbstractSet[bytes]) -> bytes:
    """``data`` without the headers that have these names (in lower case)."""
    head = _head_of(data)
    kept = _HEADER.sub(lambda found: b"" if found[1].lower() in unwanted else found[0], head)
    return data if len(kept) == len(head) else kept + data[len(head) :]


def _unfolded(value: bytes) -> str:
    return value.replace(b"\r", b"").replace(b"\n", b"").strip(b" \t").decode("ascii", "replace")


def _check_lines(data: bytes) -> None:
    """Raises InvalidMessage for lines that SES does not accept, or that servers read differently."""
    if b"\0" in data:
        raise _invalid(data, data.index(0), "has a NUL byte", "Encode it in base64")
    if bare := _BARE_CR.search(data):
        remedy = "End lines with CRLF, or with LF, and encode a part with other line ends"
        raise _invalid(data, bare.start(), "has a CR without LF", remedy)
    long = _LONG_LINE.search(data)
    # The CR belongs to the line's end.
    while long and len(long[0].removesuffix(b"\r")) <= MAX_LINE_BYTES:
        long = _LONG_LINE.search(data, long.end())
    if long:
        remedy = f"SES takes {MAX_LINE_BYTES}: encode the part in base64 or quoted-printable, fold a header"
        raise _invalid(data, long.start(), f"has {len(long[0]):,} bytes", remedy)
    _check_head(_head_of(data))


def _check_head(head: bytes) -> None:
    if len(head) > _MAX_HEAD_BYTES:
        remedy = f"At most {_MAX_HEAD_BYTES:,}: are they ended by an empty line?"
        raise InvalidMessage("raw", f"has {len(head):,} bytes of headers", remedy)
    end = 0
    for found in _HEADER.finditer(head):
        if found.start() != end:
            break
        end = found.end()
    if end != len(head) or not head:
        remedy = "Begin with the headers, each Name: value, and an empty line behind them"
        raise _invalid(head, end, "has no header", remedy)
    if foreign := _NOT_ASCII.search(head):
        remedy = "Encode it by RFC 2047: SES has no SMTPUTF8"
        raise _invalid(head, foreign.start(), "has a header that is not ASCII", remedy)
    authors = sum(found[1].lower() == b"from" for found in _HEADER.finditer(head))
    if authors != 1:
        raise InvalidMessage("raw: From", "is missing" if not authors else "is there twice", "Write one From header")


def _invalid(data: bytes, position: int, problem: str, remedy: str) -> InvalidMessage:
    line = data.count(b"\n", 0, position) + 1
    return InvalidMessage("raw", f"{problem} in line {line}", remedy)
