"""Templates: Jinja2 in its sandbox, bounded, with undefined variables as errors.

The bounds are against mistakes (a loop over ``range(10**9)``, a macro that calls itself, ``"x" * 10**9``),
so that no row stalls a producer or a worker. They do not make it safe to run the templates of somebody
hostile: Python offers no bound on the memory of one expression.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from jinja2 import StrictUndefined, TemplateSyntaxError, UndefinedError, meta, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mailer.errors import InvalidMessage
from mailer.message import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from jinja2 import Template as Compiled

MAX_STEPS = 250_000
"""Turns of loops and calls in one rendering, nested ones multiplied out."""

MAX_REPEAT = 1_000_000
"""Items that ``*`` may make of a string or list."""

MAX_POWER_BITS = 4096

_BOUNDED = "_bounded"
_PADDING = frozenset({"center", "expandtabs", "ljust", "rjust", "zfill"})
_FORMATTING = frozenset({"format", "format_map"})

# Nodes that cannot fail and cannot multiply their input, where every name has a scalar value. A template
# made of these alone need not be rendered at the producer to know that it will render at the worker.
_TOTAL_NODES = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Const,
    nodes.If,
    nodes.And,
    nodes.Or,
    nodes.Not,
)
_TOTAL_FILTERS = frozenset({"e", "escape", "upper", "lower", "title", "capitalize", "trim", "urlencode", "default"})

GROWTH = 12
"""Bytes that one character of a value becomes at most in a total template: an emoji, percent-encoded."""


class _Context(Context):
    steps: int = 0

    def step(self) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise SecurityError(f"it takes more than {MAX_STEPS:,} steps")


class _Environment(ImmutableSandboxedEnvironment):
    context_class = _Context
    intercepted_binops = frozenset({"*", "**", "%"})

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, _BOUNDED, [], [], None, None)
        return tree

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(context, _Context):
            context.step()
        name = getattr(obj, "__name__", "")
        if name in _FORMATTING:
            raise SecurityError(f"{name}() makes text of any length; join it with ~ instead")
        if name in _PADDING and any(isinstance(each, int) and each > MAX_REPEAT for each in (*args, *kwargs.values())):
            raise SecurityError(f"{name}() makes more than {MAX_REPEAT:,} characters")
        return super().call(context, obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "%" and not isinstance(left, int | float):
            raise SecurityError("% formats text; join it with ~ instead")
        if operator == "*":
            for sized, times in ((left, right), (right, left)):
                if isinstance(times, int) and hasattr(sized, "__len__") and len(sized) * times > MAX_REPEAT:
                    raise SecurityError(f"* makes more than {MAX_REPEAT:,} items")
        if operator == "**" and not (
            isinstance(left, float)
            or isinstance(right, float)
            or (isinstance(left, int) and isinstance(right, int) and left.bit_length() * abs(right) <= MAX_POWER_BITS)
        ):
            raise SecurityError(f"** makes a number of more than {MAX_POWER_BITS} bits")
        return super().call_binop(context, operator, left, right)


@pass_context
def _bounded(context: _Context, items: Any) -> Iterator[Any]:
    for item in items:
        context.step()
        yield item


def _environment(*, autoescape: bool) -> _Environment:
    environment = _Environment(autoescape=autoescape, undefined=StrictUndefined, keep_trailing_newline=True)
    environment.filters[_BOUNDED] = _bounded
    for unbounded in ("center", "indent", "format"):
        del environment.filters[unbounded]
    del environment.globals["lipsum"]
    return environment


_PLAIN = _environment(autoescape=False)
_HTML = _environment(autoescape=True)


class Template:
    """One compiled template. ``field`` is the argument it came from, for errors.

    ``names`` are the variables it may ask for. ``total`` says that rendering cannot fail where each of them has a
    scalar value, and makes at most `GROWTH` bytes of each character of the source and of each value put in. A source
    without ``{{``, ``{%`` and ``{#`` is plain text.
    """

    __slots__ = ("_compiled", "_globals", "field", "names", "source", "total")

    def __init__(self, source: str, field: str) -> None:
        self.field = field
        self.source = source
        self.names: frozenset[str] = frozenset()
        self.total = True
        self._compiled: Compiled | None = None
        self._globals: dict[str, Any] = {}
        if "{{" in source or "{%" in source or "{#" in source:
            self._compile(_HTML if field == "html" else _PLAIN)

    def _compile(self, environment: _Environment) -> None:
        try:
            tree = environment.parse(self.source)
            self.names = frozenset(meta.find_undeclared_variables(tree))
            self.total = _is_total(tree)
            self._compiled = environment.from_string(tree)
            self._globals = dict(self._compiled.globals)
        except TemplateSyntaxError as error:
            raise InvalidMessage(
                self.field,
                f"is not a valid template: line {error.lineno}: {str(error.message).rstrip('.')}",
                "Correct it",
            ) from error
        except RecursionError as error:
            raise InvalidMessage(self.field, "is nested too deeply for a template", "Simplify it") from error

    def render(self, variables: Mapping[str, object]) -> str:
        """The text with ``variables`` filled in, escaped for HTML where ``field`` is ``html``.

        Raises InvalidMessage: ``variables`` for an undefined one, else ``field``.
        """
        if self._compiled is None:
            return self.source
        try:
            # Not `Template.new_context`: it walks its chain of globals for the sake of imports, and there are none.
            context = _Context(self._compiled.environment, {**self._globals, **variables}, None, self._compiled.blocks)
            chunks = self._compiled.root_render_func(context)
            return "".join(chunks if self.total else _bounded_chunks(chunks))
        except UndefinedError as error:
            raise InvalidMessage(
                "variables",
                f"lack what {self.field} asks for: {error.message}",
                "Give each recipient a value, or write {{ name | default('...') }}",
            ) from error
        except Exception as error:
            raise InvalidMessage(
                self.field,
                f"cannot be rendered: {type(error).__name__}: {error}",
                "Correct the template or the row",
            ) from error


def _bounded_chunks(chunks: Iterable[str]) -> Iterator[str]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > MAX_MESSAGE_BYTES:
            raise SecurityError(f"it makes more than {MAX_MESSAGE_BYTES:,} characters")
        yield chunk


def _is_total(tree: nodes.Template) -> bool:
    return all(_is_total_node(node) for node in tree.find_all(nodes.Node))


def _is_total_node(node: nodes.Node) -> bool:
    if isinstance(node, nodes.CondExpr):
        return node.expr2 is not None  # without an else it is undefined
    if isinstance(node, nodes.Filter):
        plain = not (node.kwargs or node.dyn_args or node.dyn_kwargs)
        takes = 1 if node.name == "default" else 0
        parts = [part for part in (node.node, *node.args) if part is not None]
        chained = any(isinstance(part, nodes.Filter) or part.find(nodes.Filter) for part in parts)
        return node.name in _TOTAL_FILTERS and plain and len(node.args) <= takes and not chained
    return isinstance(node, _TOTAL_NODES)


@lru_cache(maxsize=256)
def compiled(source: str, field: str) -> Template:
    """The compiled template of ``source``, from a cache. Raises InvalidMessage naming ``field``."""
    return Template(source, field)
