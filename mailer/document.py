"""Documents for programs: dataclasses as JSON, and the JSON Schema of each. Times are ISO 8601 in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any

from pydantic import PlainSerializer, TypeAdapter, WithJsonSchema

LAST_MOMENT = "9999-12-31T23:59:59+00:00"
"""Stands for any later time, which ISO 8601 cannot say with four digits of the year."""


def iso(at: float | datetime) -> str:
    """The time in UTC. A number is epoch seconds."""
    try:
        return (at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)).astimezone(UTC).isoformat()
    except (OverflowError, ValueError, OSError):
        return LAST_MOMENT


_WRITTEN = PlainSerializer(iso, return_type=str, when_used="json")
_SCHEMA = WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization")
Moment = Annotated[float, _WRITTEN, _SCHEMA]
"""Epoch seconds in Python, ISO 8601 in JSON."""
When = Annotated[datetime, _WRITTEN, _SCHEMA]
"""An aware datetime, written as a `Moment` is."""


def to_json(document: Any, kind: Any = None) -> Any:
    """Plain values, in the order of the fields. ``kind`` is the type of the document, if it is not a class."""
    chosen: Any = type(document) if kind is None else kind
    return _adapter(chosen).dump_python(document, mode="json", warnings=False)


def schema_of(kind: Any) -> dict[str, Any]:
    """The JSON Schema of what `to_json` writes."""
    return _adapter(kind).json_schema(mode="serialization")


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
