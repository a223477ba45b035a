"""Hypothesis strategies that spoil good input in a hundred ways, for all tests of what is malformed."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, AnyStr, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")

LENGTHS = (1, 0, 1, 2, 5, 20, 200, 0, 1_000_000)
TIMES = (0, 2, 51)


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


JSON: SearchStrategy[Any] = st.one_of(
    st.sampled_from([None, "", True, 0, -1, 0.1, -0.0, 1e308, 2**70, "\ud800", "\0\r\n"]),
    st.builds(list),
    st.builds(dict),
    st.sampled_from([None, "x", 1]).map(lambda each: {"Data": each}),
    st.text(st.characters(), max_size=40),
    st.sampled_from([1, 3, 100, 300]).map(lambda times: "a@" * times),
    st.sampled_from([1, 51, 70, 1200]).map(lambda times: ["x@example.com"] * times),
    st.sampled_from([1, 60]).map(lambda times: {f"k{number}": "v" for number in range(times)}),
    st.sampled_from([2, 60]).map(nested),
)
"""What may stand where something else is expected."""


# Hypothesis makes five of six examples by copying parts of the sixth. It does so for the provider ``hypothesis`` only.
AVAILABLE_PROVIDERS["each-anew"] = AVAILABLE_PROVIDERS["hypothesis"]


def tries(count: int) -> settings:
    """So many examples, the same ones each time. The profile ``long`` has a hundredfold, and others each time."""
    times = settings().max_examples // 100
    return settings(max_examples=count * times, derandomize=times == 1, backend="each-anew")


def mostly(often: SearchStrategy[T], seldom: SearchStrategy[T], *, one_in: int) -> SearchStrategy[T]:
    return st.integers(1, one_in).flatmap(lambda number: seldom if number == one_in else often)


def edited(data: AnyStr, puts: SearchStrategy[AnyStr], most: int = 6) -> SearchStrategy[AnyStr]:
    """``data`` with up to ``most`` pieces lost, doubled or replaced."""
    edit = st.tuples(st.integers(0, len(data)), st.sampled_from(LENGTHS), st.one_of(st.sampled_from(TIMES), puts))
    return _edited(data, st.lists(edit, max_size=most))


@st.composite
def _edited(draw: st.DrawFn, data: AnyStr, edits: SearchStrategy[list[tuple[int, int, AnyStr | int]]]) -> AnyStr:
    # A composite is shown by its value.
    for at, length, put in draw(edits):
        piece = data[at : at + length]
        data = (data[:at] + (piece * put if isinstance(put, int) else put) + data[at + length :])[:200_000]
    return data


def spoilt(value: object, others: SearchStrategy[Any], puts: SearchStrategy[str]) -> SearchStrategy[Any]:
    """Copies of ``value`` with one thing in it edited, replaced by one of ``others``, lost or added."""
    if isinstance(value, str):
        return st.one_of(edited(value, puts, 2), others)
    kinds = [spoilt(each, others, puts).map(partial(_with, value, key)) for key, each in _parts(value)]
    if isinstance(value, dict) and value:
        kinds.append(st.sampled_from(list(value)).map(lambda lost: {key: value[key] for key in value if key != lost}))
        kinds.append(st.tuples(puts, others).map(lambda added: value | dict([added])))
    return st.one_of(*kinds, others)


def _parts(value: object) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    if dataclasses.is_dataclass(value):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    return []


def _with(value: Any, key: Any, new: object) -> Any:
    if isinstance(value, dict):
        return value | {key: new}
    if isinstance(value, list | tuple):
        return type(value)([*value[:key], new, *value[key + 1 :]])
    return dataclasses.replace(value, **{key: new})


def spoilt_fields(
    value: dict[str, Any], others: SearchStrategy[Any], puts: SearchStrategy[str]
) -> SearchStrategy[dict[str, Any]]:
    """``value`` with up to three of its fields spoilt."""
    field = st.one_of([st.tuples(st.just(name), spoilt(each, others, puts)) for name, each in value.items()])
    return st.lists(field, max_size=3).map(lambda fields: value | dict(fields))
