"""Filters of lists and dicts. Those that read every item count the items against the meter."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from mailer.mail.template.bounds import Refused
from mailer.mail.template.operators import ARITHMETIC
from mailer.mail.template.values import MISSING, Group, check_comparable, items_of, key_of, kind, text_of

if TYPE_CHECKING:
    from mailer.mail.template.values import Frame


def getter(frame: Frame, attribute: Any, default: Any = None) -> Callable[[Any], Any]:
    """A function that reads ``attribute`` of an item: the keys in ``address.city``, an index, or None for the item
    itself. ``default`` replaces a missing value."""
    if attribute is None:
        return lambda item: item
    parts: list[Any] = [attribute]
    if not isinstance(attribute, int):
        path = text_of(attribute)
        frame.meter.step(len(path))
        parts = [int(part) if part.isdecimal() and len(part) < 9 else part for part in path.split(".")]

    def get(item: Any) -> Any:
        frame.meter.step(1 + len(parts))
        for part in parts:
            item = key_of(item, part)
        return default if default is not None and (item is None or item is MISSING) else item

    return get


def ordering(frame: Frame, attribute: Any, case_sensitive: Any, default: Any = None) -> Callable[[Any], Any]:
    """A function for the sort key of an item: a text or a number."""
    get = getter(frame, attribute, default)

    def key(item: Any) -> Any:
        found = get(item)
        if not isinstance(found, str | int | float):
            raise Refused(f"{kind(found)} has no order", "Sort and group by a text or a number")
        if isinstance(found, str):
            frame.meter.read(len(found))
            return found if case_sensitive else found.lower()
        return found

    return key


def _sorted(frame: Frame, items: list[Any], keys: list[Any], reverse: Any) -> list[Any]:
    frame.meter.step(8 * len(items))
    for key in keys[1:]:
        check_comparable(keys[0], key)
    order = sorted(range(len(items)), key=keys.__getitem__, reverse=bool(reverse))
    return [items[at] for at in order]


def sort(
    frame: Frame, value: Any, reverse: Any = False, case_sensitive: Any = False, attribute: Any = None
) -> list[Any]:
    made = list(items_of(value, frame.meter))
    names = [attribute]
    if isinstance(attribute, str):
        frame.meter.step(8 * len(attribute))  # every second character may be a comma
        names = list(attribute.split(","))
    for name in reversed(names):  # start with the last one: sorting is stable
        key = ordering(frame, name, case_sensitive)
        made = _sorted(frame, made, [key(item) for item in made], reverse)
    return made


def dictsort(frame: Frame, value: Any, case_sensitive: Any = False, by: str = "key", reverse: Any = False) -> list[Any]:
    if by not in ("key", "value"):
        raise Refused("dictsort sorts by key or value", "Write dictsort(by='value')")
    pairs = items(frame, value)
    key = ordering(frame, 0 if by == "key" else 1, case_sensitive)
    return _sorted(frame, pairs, [key(pair) for pair in pairs], reverse)


def group(frame: Frame, value: Any, attribute: Any, default: Any = None, case_sensitive: Any = False) -> list[Any]:
    key, get = ordering(frame, attribute, case_sensitive, default), getter(frame, attribute, default)
    items = items_of(value, frame.meter)
    keyed = [(key(item), item) for item in items]
    order = _sorted(frame, keyed, [found for found, _ in keyed], False)
    groups = [[item for _, item in members] for _, members in groupby(order, lambda pair: pair[0])]
    return [Group((get(members[0]), members)) for members in groups]


def unique(frame: Frame, value: Any, case_sensitive: Any = False, attribute: Any = None) -> list[Any]:
    key = ordering(frame, attribute, case_sensitive)
    first: dict[Any, Any] = {}
    for item in _counted(frame, value):
        first.setdefault(key(item), item)
    return list(first.values())


def furthest(choose: Callable[[list[Any]], Any]) -> Callable[..., Any]:
    """The filter that gives the item whose sort key ``choose`` (min or max) chooses."""

    def run(frame: Frame, value: Any, case_sensitive: Any = False, attribute: Any = None) -> Any:
        items = _counted(frame, value)
        key = ordering(frame, attribute, case_sensitive)
        keys = [key(item) for item in items]
        for each in keys[1:]:
            check_comparable(keys[0], each)
        return items[keys.index(choose(keys))] if items else MISSING

    return run


def total(frame: Frame, iterable: Any, attribute: Any = None, start: Any = 0) -> Any:
    get, add = getter(frame, attribute), ARITHMETIC["+"]
    if isinstance(start, str | list):
        raise Refused("sum adds numbers", "Write | join for texts")
    for item in _counted(frame, iterable):
        found = get(item)
        if isinstance(found, str):
            remedy = "Write map(attribute='price') | map('float') | sum for numbers in texts, or | join for texts"
            raise Refused("sum adds no text", remedy)
        start = add(start, found, frame.meter)
    return start


def join(frame: Frame, value: Any, d: Any = "", attribute: Any = None) -> str:
    get = getter(frame, attribute)
    texts = [text_of(get(item)) for item in _counted(frame, value)]
    between = text_of(d)
    frame.meter.read(sum(map(len, texts)) + len(between) * len(texts))
    if not frame.autoescape:
        return str(between).join(map(str, texts))
    if isinstance(between, Markup) or any(isinstance(each, Markup) for each in texts):
        frame.meter.read(5 * sum(map(len, texts)))
        return escape(between).join(texts)
    return between.join(texts)


def items(frame: Frame, value: Any) -> list[Any]:
    if not isinstance(value, dict):
        raise Refused(f"{kind(value)} has no keys", "Give items a dict")
    frame.meter.step(1 + 2 * len(value))
    return [[key, each] for key, each in value.items()]


def length(_: Frame, value: Any) -> int:
    if not isinstance(value, str | list | dict):
        raise Refused(f"{kind(value)} has no length", "Give it a list or a text")
    return len(value)


def first(_: Frame, value: Any) -> Any:
    if isinstance(value, dict):
        return next(iter(value), MISSING)
    return value[0] if length(_, value) else MISSING


def last(_: Frame, value: Any) -> Any:
    if isinstance(value, dict):
        return next(reversed(value), MISSING)
    return value[-1] if length(_, value) else MISSING


def listed(frame: Frame, value: Any) -> list[Any]:
    return list(_counted(frame, value))


def reverse(frame: Frame, value: Any) -> Any:
    if isinstance(value, str):
        frame.meter.read(len(value))
        return value[::-1]
    return _counted(frame, value)[::-1]


def batch(frame: Frame, value: Any, linecount: int, fill_with: Any = None) -> list[list[Any]]:
    found = _counted(frame, value)
    _check_count(linecount)
    made = [found[at : at + linecount] for at in range(0, len(found), linecount)]
    if made and fill_with is not None:
        short = linecount - len(made[-1])
        frame.meter.step(short)
        made[-1].extend([fill_with] * short)
    return made


def sliced(frame: Frame, value: Any, slices: int, fill_with: Any = None) -> list[list[Any]]:
    found = _counted(frame, value)
    _check_count(slices)
    frame.meter.step(slices)
    size, larger = divmod(len(found), slices)
    made = []
    for number in range(slices):
        start = number * size + min(number, larger)
        made.append(found[start : start + size + (number < larger)])
        if fill_with is not None and number >= larger:
            made[-1].append(fill_with)
    return made


def _check_count(count: Any) -> None:
    if not isinstance(count, int) or count < 1:
        raise Refused("the count is no number from 1 up", "Correct it")


def _counted(frame: Frame, value: Any) -> list[Any]:
    found = items_of(value, frame.meter)
    frame.meter.step(1 + len(found))
    return found
