"""Mail addresses: strict parsing, and writing for the wire.

SES accepts a local part of 7-bit ASCII (it has no SMTPUTF8), a domain in Punycode, a display name encoded by RFC 2047,
and 320 characters in all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header

import idna

from mailer.errors import InvalidMessage
from mailer.mail.header import check_text, encode_words, kind

MAX_LOCAL_CHARS = 64
MAX_DOMAIN_CHARS = 253
MAX_ADDRESS_CHARS = 320
_MAX_INPUT_CHARS = 2000
"""Longer text is not an address, however its encoded words are written. The limit also bounds the patterns, which may
scan a text twice.
"""

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_TOP = r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])"
_DOMAIN = rf"(?:{_LABEL}\.)+{_TOP}"
_PLAIN = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@({_DOMAIN})", re.ASCII)
_LOCAL = re.compile(rf'{_ATOM}(?:\.{_ATOM})*|"(?:[!#-\[\]-~]|\\[!-~])+"', re.ASCII)
_ASCII_DOMAIN = re.compile(_DOMAIN, re.ASCII)
_BRACKETED = re.compile(r'(?P<name>"(?:[^"\\]|\\.)*" *|[^"<>]*)<(?P<address>[^<>]*)>')
_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Address:
    """One mail address. ``name`` is plain text, or empty. ``domain`` is lower-case ASCII."""

    name: str
    local: str
    domain: str

    def __repr__(self) -> str:
        return f"Address({self.masked})"

    @property
    def address(self) -> str:
        """``local@domain``, for an envelope."""
        return f"{self.local}@{self.domain}"

    @property
    def masked(self) -> str:
        """``j***@example.com``, for logs and Flower."""
        return f"{self.local[0]}***@{self.domain}"

    @property
    def header(self) -> str:
        """``local@domain`` or ``Name <local@domain>`` in printable ASCII. The name is quoted or encoded if needed."""
        if not self.name:
            return f"{self.local}@{self.domain}"
        return f"{_written(self.name)} <{self.local}@{self.domain}>"


def parse(text: object, field: str = "to") -> Address:
    """The one address in ``text``: ``user@example.com`` or ``Name <user@example.com>``.

    The result has the domain in lower-case Punycode, and an encoded display name decoded. Raises InvalidMessage for
    ``field``. The error's text contains no part of the address.
    """
    if type(text) is str and len(text) <= MAX_DOMAIN_CHARS:
        plain = _PLAIN.fullmatch(text)
        if plain:
            local, domain = plain.groups()
            if len(local) <= MAX_LOCAL_CHARS and "=?" not in local:
                return Address("", local, domain.lower())
    return _parse(text, field)


def _parse(text: object, field: str) -> Address:
    if not isinstance(text, str):
        remedy = "Pass a list of str to mailer.send(to=[...])" if isinstance(text, bytes) else "Pass a str"
        raise InvalidMessage(field, f"is {kind(text)}, not an address", remedy)
    if len(text) > _MAX_INPUT_CHARS:
        raise InvalidMessage(field, f"is {len(text)} characters long", f"SES takes {MAX_ADDRESS_CHARS} in all")
    stripped = check_text(field, text).strip(" ")
    if bracketed := _BRACKETED.fullmatch(stripped):
        name, address = _name(bracketed["name"].strip(" "), field), bracketed["address"].strip(" ")
    else:
        _refuse_several(stripped, field)
        name, address = "", stripped
    local, _, domain = address.rpartition("@")
    if not local:
        raise InvalidMessage(field, "has no @ or nothing before it", "Write user@example.com")
    parsed = Address(name, _local(local, field), _domain(domain, field))
    if (written := len(parsed.header)) > MAX_ADDRESS_CHARS:
        raise InvalidMessage(
            field,
            f"is {written} characters long once encoded",
            f"Shorten the display name: SES takes {MAX_ADDRESS_CHARS} in all",
        )
    return parsed


def _refuse_several(text: str, field: str) -> None:
    unquoted = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
    if unquoted.count("@") > 1 and re.search(r"[,;<> ]", unquoted):
        raise InvalidMessage(
            field,
            "holds several addresses",
            "Pass a list, one address each; quote a display name that holds a comma",
        )
    if "<" in unquoted or ">" in unquoted:
        raise InvalidMessage(field, "is not an address", "Write Name <user@example.com>, with one pair of brackets")


def _name(raw: str, field: str) -> str:
    if raw.startswith('"'):
        name = _ESCAPED.sub(r"\1", raw[1:-1])
    else:
        if re.search(r"[,;@]", raw):
            raise InvalidMessage(
                field,
                "has a comma, semicolon or @ in its display name, or holds several addresses",
                'Quote the name: "Doe, Jane" <jane@example.com>; pass several addresses as a list',
            )
        name = raw
    if "=?" in name:
        try:
            name = str(make_header(decode_header(name)))
        except (HeaderParseError, LookupError, ValueError) as error:
            raise InvalidMessage(field, "has a display name that is badly encoded", "Pass the plain name") from error
        check_text(field, name, empty=True)
    return name.strip(" ")


def _local(local: str, field: str) -> str:
    if not local.isascii():
        raise InvalidMessage(
            field,
            "has a character that is not ASCII before the @",
            "SES cannot send to it: use the address's ASCII form",
        )
    if len(local) > MAX_LOCAL_CHARS:
        raise InvalidMessage(
            field, f"has {len(local)} characters before the @", f"At most {MAX_LOCAL_CHARS} are allowed"
        )
    if "=?" in local:
        # RFC 2047 forbids encoded words here, but some programs decode them, including line breaks.
        raise InvalidMessage(field, "has =? before the @, which begins an encoded word", "Write user@example.com")
    if not _LOCAL.fullmatch(local):
        raise InvalidMessage(
            field,
            "has a space, a misplaced dot or another character that may not stand before the @",
            "Write user@example.com",
        )
    return local


def _domain(domain: str, field: str) -> str:
    if domain.isascii():
        if len(domain) <= MAX_DOMAIN_CHARS and _ASCII_DOMAIN.fullmatch(domain):
            return domain.lower()
        raise InvalidMessage(field, "has no valid domain after the @", "Write user@example.com")
    try:
        encoded = idna.encode(domain, uts46=True).decode("ascii")
    except UnicodeError as error:
        raise InvalidMessage(
            field, "has a domain that cannot be written in Punycode", "Check the domain's spelling"
        ) from error
    return _domain(encoded, field)


def _written(name: str) -> str:
    if not name.isascii() or "=?" in name:
        return encode_words(name)
    if _PHRASE.fullmatch(name):
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
