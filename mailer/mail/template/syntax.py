"""Parse with Jinja2's own parser. This module adds bounds on the size of the source, and places.

A node's ``lineno`` is a place instead: the offset of a character in the source. In a mail of one line, a line number
says little.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.lexer import TokenStream
from jinja2.parser import Parser

from mailer.mail.template.bounds import MAX_BRACKETS, MAX_SOURCE_CHARS, MAX_TOKENS, Refused

_NEWLINE = re.compile("\r\n|\r")
_LONGEST_NUMBER_CHARS = 40
_AROUND = 40
_LONGEST_CHARS = 200
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_TEXT = frozenset({"data", "whitespace", "comment", "raw_begin", "raw_end"})
_STRAY = re.compile(r"Encountered unknown tag '(end\w+|else|elif)'")
_WITHIN = re.compile(r"innermost block that needs to be closed is '(\w+)'")
_WORD_BEFORE = re.compile(r"(?<![|.\w])(?<!\| )([^\W\d]\w*)\s+\Z")
_WORDS = re.compile(r"(?!(?:if|else|and|or|not|in|is)\b)\w+(?:[ \t]+\w+)*")
_WAY_OUT = (
    "Correct it; where {#, {% or {{ is meant literally (CSS, JavaScript), write a space after the brace, or put "
    "{% raw %} before it and {% endraw %} after it"
)


def has_tags(source: str) -> bool:
    """Whether ``source`` is more than plain text."""
    return "{{" in source or "{%" in source or "{#" in source


class Source:
    """The source of a template: its ``text`` with Jinja2's line breaks, and the number of ``tokens`` in its tags.

    Raises Refused if it is too long.
    """

    def __init__(self, text: str) -> None:
        if len(text) > MAX_SOURCE_CHARS:
            raise Refused(
                f"it has more than {MAX_SOURCE_CHARS:,} characters", "Attach images and other data to the mail"
            )
        self.text = _NEWLINE.sub("\n", text)
        self.tokens = 0

    def parse(self) -> nodes.Template:
        """The syntax tree. Raises Refused with a place."""
        try:
            return Parser(_Environment(self), self.text).parse()
        except TemplateSyntaxError as error:
            message = str(error.message).rstrip(".")
            raise Refused(message[:_LONGEST_CHARS], self._remedy(message, error.lineno), place=error.lineno) from None

    def _remedy(self, message: str, place: int) -> str:
        """The remedy for Jinja2's error text at this place."""
        if tag := _STRAY.match(message):
            opened = {"else": "if", "elif": "if"}.get(tag[1], tag[1].removeprefix("end"))
            if not (within := _WITHIN.search(message)):
                return f"Remove it, or write the {{% {opened} ... %}} that it belongs to before it"
            return f"Write {{% end{within[1]} %}} before it, or remove it"
        if message.startswith("Unexpected end of template") and (within := _WITHIN.search(message)):
            return f"Write {{% end{within[1]} %}} where its {{% {within[1]} ... %}} ends"
        before, after = _WORD_BEFORE.search(self.text[max(place - _AROUND, 0) : place]), _WORDS.match(self.text, place)
        if message.startswith("expected token 'end of ") and before and after:
            name = f"{before[1]}_{'_'.join(after[0].split())}"
            return f"Write {name:.80} if it is one name: names have no spaces, and a column's become _"
        return _WAY_OUT

    def excerpt(self, place: int) -> str:
        """``line 3: ... {{ price | round(2) }}``: the line number and the text around ``place``."""
        start = max(self.text.rfind("\n", 0, place) + 1, place - _AROUND)
        end = self.text.find("\n", place)
        text = self.text[start : min(place + _AROUND, len(self.text) if end < 0 else end)]
        shown = "".join(character if character.isprintable() else " " for character in text).strip()
        return f"line {self.text.count(chr(10), 0, place) + 1}: {shown}"

    def placed(self, tokens: Iterable[tuple[int, str, str]]) -> Iterator[tuple[int, str, str]]:
        """``tokens`` with their places as line numbers. Raises Refused beyond the bounds."""
        at = depth = 0
        try:
            for _, kind, value in tokens:
                # The tokens do not include white space that a tag strips.
                at = self.text.find(value, at)
                self.tokens += kind not in _TEXT
                if kind == "operator":
                    depth += (value in _OPENING) - (value in _CLOSING)
                self._check(kind, value, depth, at)
                yield at, kind, value
                at += len(value)
        except TemplateSyntaxError as error:
            error.lineno = at
            raise

    def _check(self, kind: str, value: str, depth: int, at: int) -> None:
        if self.tokens > MAX_TOKENS:
            raise Refused(f"it has more than {MAX_TOKENS:,} words and signs in its tags", "Simplify it", place=at)
        if depth > MAX_BRACKETS:
            raise Refused(f"more than {MAX_BRACKETS} brackets are open at once", "Simplify it", place=at)
        if kind in ("integer", "float") and len(value) > _LONGEST_NUMBER_CHARS:
            raise Refused("the number is too long", "Write it as text", place=at)
        if kind == "comment" and "{#" in value:
            raise Refused("a comment begins within a comment", _WAY_OUT, place=at)


class _Environment(Environment):
    """The environment of one source. It reads the tokens through `Source.placed`."""

    def __init__(self, source: Source) -> None:
        super().__init__(keep_trailing_newline=True)
        self._source = source

    def _tokenize(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> TokenStream:
        tokens = self._source.placed(self.lexer.tokeniter(source, name, filename, state))
        return TokenStream(self.lexer.wrap(tokens, name, filename), name, filename)
