"""Templates: Jinja2's syntax over JSON values, with bounds. A missing variable is an error.

Jinja2 only parses a template (`syntax`). Our own code runs it (`statements`, `expressions`), with allow-lists of
`filters`, `tests` and `functions`. So a template cannot reach Python: a dot means a key, there are no methods and no
attributes, and only text and numbers print. Rendering depends on nothing but the template and the variables. Each
operation is counted before it runs (`bounds`): it is safe to render a hostile template.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from mailer.errors import InvalidMessage
from mailer.mail.template.bounds import Lacking, Meter, Refused
from mailer.mail.template.program import Program
from mailer.mail.template.statements import Piece, body
from mailer.mail.template.syntax import Source, has_tags
from mailer.mail.template.values import Frame

GROWTH = 12
"""The most bytes that one character of a value can become in a total template: an emoji, percent-encoded."""

_CACHED_CHARS = 256 * 1024
_CACHED_TOKENS = 2000


class Template:
    """One template, ready to render. ``field`` is the argument it came from, for errors.

    ``names`` are the variables that it may read, and ``uses`` is the number of places that read one. ``needed`` are the
    names without a default and without a test for presence. ``total`` is a guarantee for variables that are all texts,
    numbers or booleans: rendering does not fail, and makes at most `GROWTH` bytes of each character of the source and
    of the inserted values. ``tokens`` is the number of words and signs in its tags, ``chars`` the number of characters
    to parse. A source without ``{{``, ``{%`` and ``{#`` is plain text: nothing in it is parsed.
    """

    __slots__ = ("_run", "_source", "_weight", "chars", "field", "names", "needed", "source", "tokens", "total", "uses")

    def __init__(self, source: str, field: str) -> None:
        self.field = field
        self.names: frozenset[str] = frozenset()
        self.needed: frozenset[str] = frozenset()
        self.total = True
        self.uses = self.tokens = self.chars = self._weight = 0
        self.source = source
        self._run: Piece | None = None
        if has_tags(source):
            self.chars = len(source)
            self._compile()

    def _compile(self) -> None:
        try:
            self._source = Source(self.source)
            tree = self._source.parse()
            program = Program(tree, autoescape=self.field == "html")
            self._run = body(tree.body, program)
        except Refused as error:
            raise InvalidMessage(
                self.field, f"is not a valid template: {self._located(error)}", error.remedy or "Correct it"
            ) from None
        except RecursionError:
            raise InvalidMessage(self.field, "is nested too deeply for a template", "Simplify it") from None
        self.names, self.total, self.uses = frozenset(program.free), program.total, program.uses
        self.needed = frozenset(program.needed - program.asked)
        self._weight, self.tokens = program.weight, self._source.tokens

    def _located(self, error: Refused) -> str:
        return error.problem if error.place is None else f"{error.problem} ({self._source.excerpt(error.place)})"

    def render(self, variables: Mapping[str, Any], meter: Meter | None = None) -> str:
        """The text with ``variables`` (JSON values) filled in. If ``field`` is ``html``, it is escaped for HTML.

        ``meter`` is the message's. Raises InvalidMessage: for ``variables`` if one is missing, else for ``field``. Its
        text contains no value of a variable.
        """
        if self._run is None:
            return self.source
        meter = meter or Meter()
        variables = variables if isinstance(variables, dict) else dict(variables)
        try:
            meter.chars += len(self.source)
            meter.step(self._weight)
            return self._run(Frame(variables, {}, meter, autoescape=self.field == "html"))
        except Refused as error:
            if isinstance(error, Lacking) and not error.is_ours:
                raise InvalidMessage(
                    "variables",
                    f"lack what {self.field} asks for: {self._located(error)}",
                    error.remedy or "Give each recipient a value, or write {{ name | default('...') }}",
                ) from None
            raise InvalidMessage(
                self.field,
                f"cannot be rendered: {self._located(error)}",
                error.remedy or "Correct the template or the row",
            ) from None


class _TooLarge(Exception):
    """The cache does not keep this template: many of its size would not fit into memory."""

    def __init__(self, template: Template) -> None:
        self.template = template


@lru_cache(maxsize=64)
def _cached(source: str, field: str) -> Template:
    template = Template(source, field)
    if template.tokens > _CACHED_TOKENS or len(source) > _CACHED_CHARS:
        raise _TooLarge(template)
    return template


def compiled(source: str, field: str) -> Template:
    """The template of ``source``. Only a small one comes from a cache. Raises InvalidMessage for ``field``."""
    try:
        return _cached(source, field)
    except _TooLarge as large:
        return large.template
