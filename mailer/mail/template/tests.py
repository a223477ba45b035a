"""The tests allowed after ``is``. Each has a name of Jinja2."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from mailer.mail.template.operators import COMPARISONS
from mailer.mail.template.text_filters import text
from mailer.mail.template.values import number_of

if TYPE_CHECKING:
    from mailer.mail.template.values import Frame

Test = Callable[..., bool]


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
    "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda _, value: isinstance(value, float),
    "number": lambda _, value: isinstance(value, int | float) and not isinstance(value, bool),
    "string": lambda _, value: isinstance(value, str),
    "mapping": lambda _, value: isinstance(value, dict),
    "sequence": lambda _, value: isinstance(value, str | list | dict),
    "iterable": lambda _, value: isinstance(value, str | list | dict),
    "odd": lambda _, value: number_of(value) % 2 == 1,
    "even": lambda _, value: number_of(value) % 2 == 0,
    "divisibleby": lambda _, value, num: number_of(value) % number_of(num) == 0,
    "lower": lambda frame, value: text(frame, value).islower(),
    "upper": lambda frame, value: text(frame, value).isupper(),
    "in": _IN,
    **dict.fromkeys(("eq", "equalto", "=="), _EQUAL),
    **dict.fromkeys(("ne", "!="), _comparing("ne")),
    **dict.fromkeys(("lt", "lessthan", "<"), _comparing("lt")),
    **dict.fromkeys(("le", "<="), _comparing("lteq")),
    **dict.fromkeys(("gt", "greaterthan", ">"), _comparing("gt")),
    **dict.fromkeys(("ge", ">="), _comparing("gteq")),
}
