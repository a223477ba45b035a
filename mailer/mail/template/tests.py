"""The tests allowed after ``is``. Each has a name of Jinja2."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from mailer.mail.template.operators import COMPARISONS
from mailer.mail.template.values import number_of, text_of

if TYPE_CHECKING:
    from mailer.mail.template.values import Frame

Test = Callable[..., bool]


def _is_number(_: Frame, value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(_: Frame, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _divisibleby(_: Frame, value: Any, num: Any) -> bool:
    return number_of(value) % number_of(num) == 0


def _lower(frame: Frame, value: Any) -> bool:
    text = text_of(value)
    frame.meter.read(len(text))
    return text.islower()


def _upper(frame: Frame, value: Any) -> bool:
    text = text_of(value)
    frame.meter.read(len(text))
    return text.isupper()


def _comparing(name: str) -> Test:
    compare = COMPARISONS[name]

    def run(frame: Frame, value: Any, other: Any) -> bool:
        return bool(compare(value, other, frame.meter))

    return run


_EQUAL, _IN = _comparing("eq"), _comparing("in")

OF_MISSING: Final = frozenset({"defined", "undefined", "none"})
"""The tests for presence. They accept a missing value."""

TESTS: Final[dict[str, Test]] = {
    "defined": lambda _, value: True,  # noqa: ARG005 - a missing value never gets here
    "undefined": lambda _, value: False,  # noqa: ARG005
    "none": lambda _, value: False,  # noqa: ARG005
    "boolean": lambda _, value: isinstance(value, bool),
    "true": lambda _, value: value is True,
    "false": lambda _, value: value is False,
    "integer": _is_integer,
    "float": lambda _, value: isinstance(value, float),
    "number": _is_number,
    "string": lambda _, value: isinstance(value, str),
    "mapping": lambda _, value: isinstance(value, dict),
    "sequence": lambda _, value: isinstance(value, str | list | dict),
    "iterable": lambda _, value: isinstance(value, str | list | dict),
    "odd": lambda _, value: number_of(value) % 2 == 1,
    "even": lambda _, value: number_of(value) % 2 == 0,
    "divisibleby": _divisibleby,
    "lower": _lower,
    "upper": _upper,
    "in": _IN,
    **dict.fromkeys(("eq", "equalto", "=="), _EQUAL),
    **dict.fromkeys(("ne", "!="), _comparing("ne")),
    **dict.fromkeys(("lt", "lessthan", "<"), _comparing("lt")),
    **dict.fromkeys(("le", "<="), _comparing("lteq")),
    **dict.fromkeys(("gt", "greaterthan", ">"), _comparing("gt")),
    **dict.fromkeys(("ge", ">="), _comparing("gteq")),
}
