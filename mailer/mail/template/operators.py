"""Binary operators: arithmetic, ``~`` and comparisons."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

from markupsafe import Markup

from mailer.mail.template.bounds import MAX_INT_BITS, Meter, Refused
from mailer.mail.template.values import check_comparable, contains, is_equal, kind, number_of, text_of

Operator = Callable[[Any, Any, Meter], Any]


def _sum(left: Any, right: Any, meter: Meter) -> Any:
    if isinstance(left, str) and isinstance(right, str):
        meter.read(len(left) + len(right))
        return left + right
    if isinstance(left, list) and isinstance(right, list):
        meter.step(1 + len(left) + len(right))
        return [*left, *right]
    if isinstance(left, str | list) or isinstance(right, str | list):
        remedy = "Write Price | float + 1 for a number in a text, or join texts with ~"
        raise Refused(f"{kind(left)} and {kind(right)} do not add up", remedy)
    return number_of(number_of(left) + number_of(right))


def _product(left: Any, right: Any, meter: Meter) -> Any:
    for many, times in ((left, right), (right, left)):
        if isinstance(many, str):
            # A cell of a CSV file is text. A price that is repeated still looks like a price.
            remedy = "Write Price | float * 2 for a number in a text, or (['-'] * 20) | join to repeat one"
            raise Refused(f"{kind(left)} and {kind(right)} do not multiply", remedy)
        if isinstance(many, list) and isinstance(times, int):
            meter.step(len(many) * max(times, 0))
            return many * times
    return number_of(number_of(left) * number_of(right))


def _power(left: Any, right: Any, _: Meter) -> Any:
    base, exponent = number_of(left), number_of(right)
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) > MAX_INT_BITS:
        raise Refused(f"the result has more than {MAX_INT_BITS} bits", "Use smaller numbers")
    return number_of(base**exponent)


def _remainder(left: Any, right: Any, _: Meter) -> Any:
    if isinstance(left, str):
        raise Refused("% formats no text", "Write {{ '%.2f' | format(price) }}")
    return number_of(number_of(left) % number_of(right))


def _of_numbers(calculate: Callable[[Any, Any], Any]) -> Operator:
    return lambda left, right, _: number_of(calculate(number_of(left), number_of(right)))


def _ordered(compare: Callable[[Any, Any], bool]) -> Operator:
    def run(left: Any, right: Any, meter: Meter) -> bool:
        check_comparable(left, right)
        if isinstance(left, str):
            meter.read(min(len(left), len(right)))
        return compare(left, right)

    return run


def joined(values: list[Any], meter: Meter, *, autoescape: bool) -> str:
    """``a ~ b``. If one part is already escaped, the result is escaped text."""
    texts = [text_of(value) for value in values]
    meter.read(sum(map(len, texts)))
    if autoescape and any(isinstance(text, Markup) for text in texts):
        return Markup("").join(texts)
    return "".join(texts)


ARITHMETIC: Final[dict[str, Operator]] = {
    "+": _sum,
    "-": _of_numbers(operator.sub),
    "*": _product,
    "/": _of_numbers(operator.truediv),
    "//": _of_numbers(operator.floordiv),
    "%": _remainder,
    "**": _power,
}

COMPARISONS: Final[dict[str, Operator]] = {
    "eq": is_equal,
    "ne": lambda left, right, meter: not is_equal(left, right, meter),
    "lt": _ordered(operator.lt),
    "lteq": _ordered(operator.le),
    "gt": _ordered(operator.gt),
    "gteq": _ordered(operator.ge),
    "in": lambda left, right, meter: contains(right, left, meter),
    "notin": lambda left, right, meter: not contains(right, left, meter),
}
