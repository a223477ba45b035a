"""Splits HTML into tokens as a browser's tokenizer does. It reads each character once, whatever the input.

The standard library's parser looks back from every unclosed quote: 24 KB of quotes take it two seconds.
"""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

_TAG_NAME = re.compile(r"[A-Za-z][^\t\n\f\r />]*")
_SPACE = re.compile(r"[\t\n\f\r /]*")
_ATTRIBUTE = re.compile(r"=?[^\t\n\f\r />=]*")
_EQUALS = re.compile(r"[\t\n\f\r ]*=[\t\n\f\r ]*")
_UNQUOTED = re.compile(r"[^\t\n\f\r >]*")
_COMMENT_ENDS = re.compile(r"--!?>")
_OF_TEXT_ONLY = frozenset({"script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"})


class Start(NamedTuple):
    """``attributes`` have lower-case names. If a name comes twice, the first one counts, as in a browser."""

    tag: str
    attributes: dict[str, str]


class End(NamedTuple):
    tag: str


class Text(NamedTuple):
    """Text as written, with its entities. ``of`` is the enclosing text-only element, or empty."""

    text: str
    of: str = ""


Token: TypeAlias = Start | End | Text


def tokens(html: str) -> Iterator[Token]:
    """The tokens of ``html``. Leaves out comments and declarations."""
    at = 0
    while at < len(html):
        found = html.find("<", at)
        if found < 0:
            yield Text(html[at:])
            return
        if found > at:
            yield Text(html[at:found])
        at = found
        if html.startswith("<!--", at):
            end = _COMMENT_ENDS.search(html, at + 2)
            at = end.end() if end else len(html)
        elif html.startswith(("<!", "<?"), at):
            at = _behind(html, ">", at)
        else:
            token, at = _tag(html, at)
            if token is not None:
                yield token
            if isinstance(token, Start) and token.tag in _OF_TEXT_ONLY:
                text = _text_of(html, token.tag, at)
                yield Text(text, token.tag)
                at += len(text)


def _tag(html: str, at: int) -> tuple[Token | None, int]:
    """The token at the ``<``, and the index where it ends. The token is None where a browser ignores it."""
    closes = html.startswith("</", at)
    name = _TAG_NAME.match(html, at + 1 + closes)
    if name is None:
        return (None, _behind(html, ">", at)) if closes else (Text("<"), at + 1)
    at, is_whole, attributes = _attributes(html, name.end())
    tag = name[0].lower()
    if not is_whole:
        return None, at
    return End(tag) if closes else Start(tag, attributes), at


def _text_of(html: str, tag: str, at: int) -> str:
    end = re.compile(rf"</{tag}(?=[\t\n\f\r />])", re.IGNORECASE).search(html, at)
    return html[at : end.start()] if end else html[at:]


def _behind(html: str, text: str, at: int) -> int:
    found = html.find(text, at)
    return len(html) if found < 0 else found + len(text)


def _attributes(html: str, at: int) -> tuple[int, bool, dict[str, str]]:
    """The index where the tag ends, whether it ends before the HTML does, and its attributes."""
    attributes: dict[str, str] = {}
    while True:
        at += len(_matched(_SPACE, html, at))
        if at >= len(html):
            return at, False, attributes
        if html[at] == ">":
            return at + 1, True, attributes
        name = _matched(_ATTRIBUTE, html, at)
        at += len(name)
        value = ""
        if (equals := _EQUALS.match(html, at)) is not None:
            at = equals.end()
            quote = html[at : at + 1]
            if quote in {'"', "'"}:
                end = html.find(quote, at + 1)
                if end < 0:
                    return len(html), False, attributes
                value, at = html[at + 1 : end], end + 1
            else:
                value = _matched(_UNQUOTED, html, at)
                at += len(value)
        attributes.setdefault(name.lower(), unescape(value))


def _matched(pattern: re.Pattern[str], html: str, at: int) -> str:
    found = pattern.match(html, at)
    return "" if found is None else found[0]
