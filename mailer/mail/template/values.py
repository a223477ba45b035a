"""The values of templates: JSON values, and values that a template makes of them. A template sees no other Python
object.

Null is None. `MISSING` is a value that is not given: a name without a value, a key that a dict does not have, an index
beyond the end. Both count as missing. Only null is also false.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from mailer.mail.template.bounds import MAX_INT_BITS, Refused

if TYPE_CHECKING:
    from mailer.mail.template.bounds import Meter


@dataclass(slots=True, eq=False, repr=False)
class Frame:
    """The state of one rendering. ``local`` has the names that the template itself sets; they hide variables."""

    variables: dict[str, Any]
    local: dict[str, Any]
    meter: Meter
    autoescape: bool
    captured: str = ""

    def made(self, text: str) -> str:
        """Text that the template made as a value. It is escaped already, and is not escaped again."""
        return Markup(text) if self.autoescape else text  # noqa: S704 - each value in it is escaped


_CHARS_COMPARED_PER_STEP = 1024

Evaluate = Callable[[Frame], Any]


class Missing:
    """The type of `MISSING`."""

    __slots__ = ()


MISSING: Final = Missing()


_OF_LOOP: Final[dict[str, Callable[[int, int], int]]] = {
    "index0": lambda at, _: at,
    "index": lambda at, _: at + 1,
    "first": lambda at, _: at == 0,
    "last": lambda at, length: at == length - 1,
    "length": lambda _, length: length,
    "revindex": lambda at, length: length - at,
    "revindex0": lambda at, length: length - at - 1,
}


@dataclass(slots=True, eq=False, repr=False)
class Loop:
    """``loop`` inside a loop."""

    items: list[Any]
    index0: int = -1

    def get(self, name: str, otherwise: object) -> Any:
        if made := _OF_LOOP.get(name):
            return made(self.index0, len(self.items))
        if name not in ("previtem", "nextitem"):
            return otherwise
        at = self.index0 + (1 if name == "nextitem" else -1)
        return self.items[at] if 0 <= at < len(self.items) else otherwise


class Namespace(dict[str, Any]):
    """``namespace()``: a dict. A loop may set its keys for the code after the loop."""


class Group(list[Any]):
    """An item of ``groupby``: ``[grouper, list]``, by index or by name."""

    def get(self, name: str, otherwise: object) -> Any:
        return self[("grouper", "list").index(name)] if name in ("grouper", "list") else otherwise


@dataclass(slots=True, eq=False, repr=False)
class Function:
    """A function that a template can call. It has no other operations."""

    call: Callable[..., Any]


@dataclass(slots=True, eq=False, repr=False)
class Macro:
    """A macro, or the ``caller`` of a call block. ``scope`` has the surrounding names, with the values they have at the
    call.
    """

    name: str
    parameters: list[tuple[str, Evaluate | None]]
    body: Callable[[Frame], str]
    scope: dict[str, Any]
    depth: int


_WORDS: Final[dict[type, str]] = {
    str: "text",
    Markup: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    Group: "a list",
    dict: "a dict",
    Namespace: "a namespace",
    Loop: "loop",
    Macro: "a macro",
    type(None): "null",
    Missing: "missing",
    Function: "a function",
}


def kind(value: object) -> str:
    """The kind of ``value``, for the text of an error."""
    return _WORDS.get(type(value), "no value of JSON")


def key_of(owner: Any, key: Any) -> Any:
    """``owner.key`` and ``owner[key]``: the value at a key of a dict, at a position of a list or text, or `MISSING`."""
    kind_of_key = type(key)
    if kind_of_key is str or kind_of_key is Markup:
        if isinstance(owner, dict | Loop | Group):
            return owner.get(key, MISSING)
    elif kind_of_key is int and isinstance(owner, list | str):
        try:
            return owner[key]
        except IndexError:
            return MISSING
    return None if owner is None else MISSING


def text_of(value: Any) -> str:
    """``value`` as it prints. Raises Refused if it cannot print."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return str(number_of(value))
    if isinstance(value, list | dict):
        remedy = "Write | join(', ') for a list of texts, | tojson for JSON, or print what is in it"
        raise Refused(f"{kind(value)} does not print", remedy)
    raise Refused(f"{kind(value)} does not print", "Give it a value, or write | default('...')")


def items_of(value: Any, meter: Meter) -> list[Any]:
    """The items that a loop or a filter iterates over: items of a list, characters of a text, or keys of a dict."""
    if isinstance(value, list):
        return value
    if isinstance(value, str | dict):
        meter.step(len(value))
        return list(value)
    raise Refused(f"{kind(value)} is no list", "Give it a list")


def number_of(value: Any) -> int | float:
    """``value``. Raises Refused if it is not a number that templates support."""
    if isinstance(value, float):
        if math.isfinite(value):
            return value
    elif isinstance(value, int) and value.bit_length() <= MAX_INT_BITS:
        return value
    if isinstance(value, int | float):
        raise Refused("it is not a number of usual size", "Check the values")
    raise Refused(f"{kind(value)} is no number", "Write Price | float for a number in a text")


def count_parts(value: Any, meter: Meter) -> None:
    """Count each part of a value, before an operation goes through all of them."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            meter.read(len(each))
        elif isinstance(each, list):
            meter.step(1 + len(each))
            waiting.extend(each)
        elif isinstance(each, dict):
            meter.step(1 + 2 * len(each))
            waiting.extend(each)
            waiting.extend(each.values())


def is_equal(left: Any, right: Any, meter: Meter) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        meter.step(1 + min(len(left), len(right)) // _CHARS_COMPARED_PER_STEP)
    for value in (left, right):
        if isinstance(value, list | dict):
            count_parts(value, meter)
    return bool(left == right)


def contains(whole: Any, part: Any, meter: Meter) -> bool:
    """``part in whole``."""
    if isinstance(whole, str):
        if not isinstance(part, str):
            raise Refused(f"{kind(part)} is in no text", "Write | string")
        meter.read(len(whole) + len(part))
        return part in whole
    if isinstance(whole, dict):
        return isinstance(part, str) and part in whole
    if isinstance(part, list | dict):
        count_parts(whole, meter)
        count_parts(part, meter)
    length = len(part) if isinstance(part, str) else 0
    meter.step(len(items_of(whole, meter)) * (1 + length // _CHARS_COMPARED_PER_STEP))
    return part in whole


def check_comparable(left: Any, right: Any) -> None:
    numbers = isinstance(left, int | float) and isinstance(right, int | float)
    if not numbers and not (isinstance(left, str) and isinstance(right, str)):
        with_text = isinstance(left, int | float | str) and isinstance(right, int | float | str)
        remedy = "Write Price | float > 10 for a number in a text" if with_text else "Compare numbers, or texts"
        raise Refused(f"{kind(left)} and {kind(right)} have no order", remedy)
