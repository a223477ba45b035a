"""The base of the simulator's nouns: terms, faults, outcomes, destinations, options.

A noun says each of its fields once: name, type, bounds, default, and in its docstring the meaning. Flags, files, bodies
of the control API, the page's forms and the tables of the docs follow from that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

_LONGEST_SHOWN = 100


class Spec(BaseModel):
    """A noun. ``called`` names one in errors. ``first`` is the field that a flag begins with, without its name."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
        use_attribute_docstrings=True,
        defer_build=True,
    )
    called: ClassVar[str] = "it"
    first: ClassVar[str | None] = None

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read JSON, with its types. Raises ``ValueError`` that names the field and the remedy."""
        return cls._read(value)

    @classmethod
    def parse(cls, text: str, **given: object) -> Self:
        """Read a flag: ``[FIRST,]field=value,...``. ``any`` stands for null, and ``+`` joins several values."""
        parts = [part.strip() for part in text.split(",")]
        if cls.first is not None:
            given[cls.first] = parts.pop(0)
        for part in filter(None, parts):
            name, equals, value = (each.strip() for each in part.partition("="))
            if not equals:
                raise ValueError(f"{part!r} in {text!r} is not a field=value")
            name = name.replace("-", "_")
            field = cls.model_fields.get(name)
            several = field is not None and holds_several(field)
            given[name] = value.split("+") if several else None if value == "any" else value
        return cls._read(given, strict=False)

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """A copy with some fields replaced by JSON values."""
        return self.from_json({**dict(self), **changes})

    @classmethod
    def part_of(cls, whole: Spec) -> Self:
        """The fields of this noun that ``whole`` has too."""
        return super().model_construct(**{name: getattr(whole, name) for name in cls.model_fields})

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    @classmethod
    def _read(cls, value: object, *, strict: bool | None = None) -> Self:
        try:
            return cls.model_validate(value, strict=strict)
        except ValidationError as error:
            raise ValueError(cls.explained(error)) from None

    @classmethod
    def explained(cls, error: ValidationError, prefix: str = "") -> str:
        """The first thing that is wrong, in words. ``prefix`` makes a flag of a field's name."""
        found = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in found["loc"] if isinstance(part, str))
        if prefix:
            name = prefix + name.replace("_", "-") if name else ""
        return _in_words(found, name, cls)


def holds_several(field: FieldInfo) -> bool:
    """Whether a field's value is a list of some kind."""
    return any(get_origin(each) in {tuple, frozenset, dict} for each in _alternatives(field.annotation))


def _alternatives(annotation: Any) -> Iterable[Any]:
    yield annotation
    if get_origin(annotation) not in {tuple, frozenset, dict}:
        for each in get_args(annotation):
            yield from _alternatives(each)


def _in_words(found: ErrorDetails, name: str, noun: type[Spec]) -> str:
    kind, bounds, given = found["type"], found.get("ctx", {}), repr(found["input"])[:_LONGEST_SHOWN]
    if kind == "extra_forbidden":
        return f"{noun.called} has no {name}. It has {', '.join(noun.model_fields)}"
    if kind == "missing":
        return f"{noun.called} is an object with at least {name}"
    if kind == "value_error":
        text = str(bounds["error"])
        return text if not name else f"{name} {text}" if text.startswith("must ") else f"{name}: {text}"
    if not name:
        return f"{noun.called} is an object of {', '.join(noun.model_fields)}, not {given}"
    if kind == "literal_error":
        expected = f"one of {bounds['expected']}".replace("'", "")
    elif kind in _BOUNDS:
        expected = _BOUNDS[kind].format(*map(number, bounds.values()))
    else:
        expected = next((words for start, words in _TYPES.items() if kind.startswith(start)), found["msg"])
    return f"{name} must be {expected}, not {given}"


def number(value: float) -> str:
    """Without a fraction if that is zero."""
    return str(int(value)) if value == int(value) else str(value)


_BOUNDS = {
    "greater_than": "above {}",
    "greater_than_equal": "at least {}",
    "less_than": "below {}",
    "less_than_equal": "at most {}",
}
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "text",
    "path": "the name of a file",
    "tuple": "a list",
    "frozen_set": "a list",
    "set": "a list",
    "dict": "an object",
}


def said(**extra: Any) -> Any:
    """Tell flags, forms and docs of a field what its type does not.

    ``flag`` is the flag's name, and ``help`` its text, where they are not the field's. ``metavar`` names its value.
    ``kinds`` are the kinds of fault that have the field. ``enum`` are its only values.
    """
    return Field(json_schema_extra=extra)


def extra_of(field: FieldInfo) -> dict[str, Any]:
    """The arguments of ``said`` for the field."""
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
