"""Mask addresses and logins in texts for people: logs, Flower, records, reprs, the command line.

A text may come from anyone and be a megabyte long, and a worker's event loop masks it. So each pattern here passes over
a text once.
"""

from __future__ import annotations

import re

_AT = r"(?:[@\uff20\ufe6b]|%(?:25)*40|\\{1,4}(?:u0040|x40)|&\#(?:64|x40);)"
"""The @ as itself, in full width, in a URL, in JSON or a repr, and in HTML."""

_APART = r"\x00-\x20\x7f\s<>()\[\],;:\"@\uff20\ufe6b"
"""Characters that end a local part on its left."""

_ATOM = rf"(?:[^{_APART}\\%&]|%(?!(?:25)*40)|&(?!\#(?:64|x40);)|\\(?!\\{{0,3}}(?:u0040|x40|\")))"
_QUOTED = r'(?:[^"\\\r\n]|\\.)*+"'
_ESCAPED = r'(?:[^"]*+(?<=\\)"){1,3}?'
"""A quoted local part in JSON or a repr, where a backslash precedes each quote."""

_COMMENT = r"[ \t]{0,3}+(?:\((?:[^()@]|\([^()@]{0,100}\))*+\)[ \t]{0,3}+)?"

_HEX = "[0-9A-Fa-f]"
_DOT = r"(?:[.\u3002\uff0e\uff61]|%2[Ee]|\\{1,4}u002[Ee])"
_LABEL = rf"""(?:
    [\w-]
  | (?![\u3002\uff0e\uff61\uff20\ufe6b])[^\x00-\x7f\s]
  | %(?!(?:25)*40|2[Ee]){_HEX}{{2}}
  | \\{{1,4}}(?:u(?!0040|002[Ee]){_HEX}{{4}}|x(?!40){_HEX}{{2}})
)++"""
_DOMAIN = rf"(?:\[[^\[\]@\s]{{1,80}}\]|{_LABEL}(?:{_DOT}{_LABEL})++)"

# A match begins at the beginning of a word, spans a few words, and never backtracks within a word. Otherwise a long
# text without an address takes minutes.
_ADDRESS = re.compile(
    rf"""
    (?: (?<![^{_APART}]) | (?<=%40) | (?<=u0040) | (?<=x40) ) (?!//\*\*\*@)
    (?: (?<!\\)"(?P<quoted>[^"\\\x00-\x1f]){_QUOTED} | (?P<atom>{_ATOM}){_ATOM}*+ | \\"(?P<escaped>[^"\\]){_ESCAPED} )
    (?: (?<=\.)"{_QUOTED} | (?<=")\.{_ATOM}*+ ){{0,4}}
    {_COMMENT} {_AT} {_COMMENT}
    (?P<domain>{_DOMAIN})
    """,
    re.VERBOSE,
)
_RUN = re.compile(r"[^\s\"'<>]+")


def mask(text: str) -> str:
    """``j***@example.com`` for any spelling of the address, ``***`` for other text. For logs and Flower."""
    found = _ADDRESS.fullmatch(text[text.rfind("<") + 1 :].strip().removesuffix(">").rstrip())
    masked = _masked(found) if found else "***"
    return masked if masked.isprintable() else "***"


def mask_addresses(text: str) -> str:
    """``text`` with every mail address masked, and every login in a URL."""
    if not _may_hold_one(text):
        return text
    return _ADDRESS.sub(_masked, mask_logins(text))


def mask_logins(text: str) -> str:
    """``text`` with ``***`` in place of user and password in its URLs.

    In a malformed URL, such as one with a bare / in its password, it may replace more than the login.
    """
    if "://" not in text or "@" not in text:
        return text
    return _RUN.sub(lambda found: without_login(found[0]) if "://" in found[0] else found[0], text)


def without_login(url: str) -> str:
    """``url`` with ``***`` in place of its user and password, if it has them."""
    login, at, place = url.rpartition("@")
    scheme, colon, _ = login.partition("://")
    if not at or ("://" in url and not colon):
        return url
    return f"{scheme}{colon}***@{place}" if colon else f"***@{place}"


def _may_hold_one(text: str) -> bool:
    return "@" in text or "40" in text or "&#64;" in text or "\uff20" in text or "\ufe6b" in text


def _masked(found: re.Match[str]) -> str:
    return f"{found['quoted'] or found['atom'] or found['escaped']}***@{found['domain']}"
