"""The filters allowed after ``|``. Each has a name of Jinja2, except ``split``."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup, escape

from mailer.mail.template import list_filters as lists
from mailer.mail.template import text_filters as texts
from mailer.mail.template.bounds import Refused
from mailer.mail.template.tests import OF_MISSING, TESTS
from mailer.mail.template.text_filters import text
from mailer.mail.template.values import MISSING, items_of, number_of

if TYPE_CHECKING:
    from mailer.mail.template.values import Frame

Filter = Callable[..., Any]

_DEFINED_FIRST = "Give each a value, or select those that are 'defined' first"


def default(_: Frame, value: Any, default_value: Any = "", boolean: Any = False) -> Any:
    """``default_value`` if the value is missing or an empty text. With ``boolean``: if the value is false."""
    if value is None or value is MISSING or value == "" or (boolean and not value):
        return default_value
    return value


def _mapped(frame: Frame, value: Any, *args: Any, attribute: Any = None, default: Any = None) -> list[Any]:
    found = items_of(value, frame.meter)
    frame.meter.step(1 + 2 * len(found))
    if not args:
        if attribute is None:
            raise Refused("map needs a filter's name or attribute=", "Write map(attribute='name')")
        get = lists.getter(frame, attribute, default)
        return [get(item) for item in found]
    name, *rest = args
    run = _of_items(FILTERS, name, "filter")
    check_arguments(run, len(rest), frozenset())
    if name not in OF_NULL and any(item is None or item is MISSING for item in found):
        raise Refused("an item is missing", "Give each a value, or write map('default', '...') before")
    return [run(frame, item, *rest) for item in found]


def _selecting(*, by_attribute: bool, keep: bool) -> Filter:
    def run(frame: Frame, value: Any, *args: Any) -> list[Any]:
        found = items_of(value, frame.meter)
        frame.meter.step(1 + 2 * len(found))
        attribute = None
        if by_attribute:
            if not args:
                raise Refused("it needs the name of a key", "Write selectattr('active')")
            attribute, *args = args  # type: ignore[assignment]
        get = lists.getter(frame, attribute)
        if not args:
            return [item for item in found if _is_true(get(item)) is keep]
        name, *rest = args
        test = _of_items(TESTS, name, "test")
        check_arguments(test, len(rest), frozenset())
        return [item for item in found if ask(frame, name, test, get(item), rest) is keep]

    return run


def ask(frame: Frame, name: str, test: Callable[..., bool], value: Any, args: list[Any]) -> bool:
    """The result of ``test``, for any value."""
    if name in OF_MISSING:
        return (value is None or value is MISSING) is not (name == "defined")
    if value is MISSING:
        raise Refused("an item is not given", _DEFINED_FIRST)
    return bool(test(frame, value, *args))


def _is_true(value: Any) -> bool:
    if value is MISSING:
        raise Refused("an item is not given", _DEFINED_FIRST)
    return bool(value)


def _of_items(known: dict[str, Any], name: Any, what: str) -> Any:
    if not isinstance(name, str) or name not in known or known[name] in _OF_NAMES:
        raise Refused(f"it names no {what} for items", f"Name one {what}")
    return known[name]


@cache
def _parameters(function: Callable[..., Any]) -> tuple[int, int | None, frozenset[str]]:
    """The minimum and maximum number of positional arguments after the value, and the names of all its arguments."""
    given = list(signature(function).parameters.values())[2:]
    positional = [each for each in given if each.kind is Parameter.POSITIONAL_OR_KEYWORD]
    many = any(each.kind is Parameter.VAR_POSITIONAL for each in given)
    needed = sum(each.default is Parameter.empty for each in positional)
    names = frozenset(each.name for each in given if each.kind is not Parameter.VAR_POSITIONAL)
    return needed, None if many else len(positional), names


def check_arguments(function: Callable[..., Any], count: int, named: frozenset[str]) -> None:
    """Raises Refused unless ``function`` takes ``count`` arguments after the value, and the ``named`` ones."""
    needed, most, names = _parameters(function)
    if named - names:
        raise Refused(f"it takes no argument {min(named - names):.80}", f"Use {', '.join(sorted(names)) or 'none'}")
    if count + len(named) < needed or (most is not None and count > most):
        takes = f"{needed}" if most == needed else f"{needed} to {most}" if most is not None else f"{needed} or more"
        raise Refused(f"it takes {takes} arguments and is given {count + len(named)}", "Correct them")


FILTERS: Final[dict[str, Filter]] = {
    "abs": lambda _, value: abs(number_of(value)),
    "batch": lists.batch,
    "capitalize": lambda frame, value: text(frame, value).capitalize(),
    "center": texts.center,
    **dict.fromkeys(("count", "length"), lists.length),
    **dict.fromkeys(("d", "default"), default),
    "dictsort": lists.dictsort,
    **dict.fromkeys(("e", "escape"), lambda frame, value: escape(text(frame, value))),
    "filesizeformat": texts.filesizeformat,
    "first": lists.first,
    "float": texts.to_float,
    "forceescape": lambda frame, value: escape(str(text(frame, value))),
    "format": texts.format_text,
    "groupby": lists.group,
    "indent": texts.indent,
    "int": texts.to_int,
    "items": lists.items,
    "join": lists.join,
    "last": lists.last,
    "list": lists.listed,
    "lower": lambda frame, value: text(frame, value).lower(),
    "map": _mapped,
    "max": lists.furthest(max),
    "min": lists.furthest(min),
    "reject": _selecting(by_attribute=False, keep=False),
    "rejectattr": _selecting(by_attribute=True, keep=False),
    "replace": texts.replace,
    "reverse": lists.reverse,
    "round": texts.rounded,
    "safe": lambda frame, value: Markup(text(frame, value)),  # noqa: S704 - the purpose of this filter
    "select": _selecting(by_attribute=False, keep=True),
    "selectattr": _selecting(by_attribute=True, keep=True),
    "slice": lists.sliced,
    "sort": lists.sort,
    "split": texts.split,
    "string": text,
    "striptags": texts.striptags,
    "sum": lists.total,
    "title": texts.title,
    "tojson": texts.tojson,
    "trim": texts.trim,
    "truncate": texts.truncate,
    "unique": lists.unique,
    "upper": lambda frame, value: text(frame, value).upper(),
    "urlencode": texts.urlencode,
    "wordcount": texts.wordcount,
    "wordwrap": texts.wordwrap,
}

OF_NULL: Final = frozenset({"d", "default", "tojson"})
"""The filters that accept null."""

_OF_NAMES: Final = tuple(FILTERS[name] for name in ("map", "select", "reject", "selectattr", "rejectattr"))

SAFE_FOR_SCALARS: Final = frozenset(
    {"d", "default", "e", "escape", "upper", "lower", "title", "capitalize", "trim", "urlencode"}
)
"""These filters fail for no text and no number. They make at most `GROWTH` bytes of a character."""

INSTEAD_OF_FUNCTIONS: Final[dict[str, str]] = {
    "dict": "Write {'key': value}",
    "list": "Write [1, 2]",
    "len": "Write x | length",
    "str": "Write x | string",
    "sorted": "Write x | sort",
    "cycler": "Write loop.cycle('odd', 'even')",
    "joiner": "Write {{ ', ' if not loop.last }}",
    **dict.fromkeys(("now", "today", "date", "datetime"), "Give the date as a variable, as its readers should see it"),
}
"""Replacements for functions of Jinja2 and Python that are not available here."""

INSTEAD_OF_METHODS: Final[dict[str, str]] = {
    "items": "x | items",
    "keys": "x | list",
    "values": "x | dictsort, or loop over x | items",
    "get": "x.name | default('...')",
    "strip": "x | trim",
    "startswith": "x[:3] == 'abc'",
    "endswith": "x[-3:] == 'abc'",
    "count": "x | length",
    "append": "{% set x = x + [y] %}",
    "format": "'%s' | format(x), or a ~ b",
    "strftime": "text: give the date as readers should see it",
    **{name: f"x | {name}" for name in ("upper", "lower", "title", "capitalize", "replace", "join", "center")},
    "split": "x | split(' ')",
    "sort": "x | sort",
    "reverse": "x | reverse",
    "index": "loop.index",
}
"""Replacements for Python's methods."""
