"""Reads each member of a request as the type in the API's model, or raises ``Refused`` as AWS refuses it.

AWS's own wording is known for constraints ("1 validation error detected: ..."). Its wording for a member of the wrong
JSON type is not known in public.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mailer.simulator.errors import CONSTRAINT, NOT_JSON, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def call_in(body: bytes) -> dict[str, Any]:
    """Parse ``body`` as a JSON object."""
    try:
        call = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(NOT_JSON.saying("The request body is not valid JSON")) from None
    if not isinstance(call, dict):
        raise Refused(NOT_JSON.saying("The request body is not a JSON object"))
    return call


def constraint(member: str, text: str) -> Refused:
    """AWS's refusal of a value that its model does not allow."""
    name = member[:1].lower() + member[1:]
    return Refused(
        CONSTRAINT.saying(f"1 validation error detected: Value at '{name}' failed to satisfy constraint: {text}")
    )


def mapping(parent: Mapping[str, Any], name: str, *, required: bool = False) -> Mapping[str, Any]:
    value = parent.get(name)
    if value is None:
        if required:
            raise _null(name)
        return {}
    if not isinstance(value, dict):
        raise Refused(NOT_JSON.saying(f"{name} is not an object"))
    return value


def mappings(parent: Mapping[str, Any], name: str, *, required: bool = False) -> list[Mapping[str, Any]]:
    value = parent.get(name)
    if value is None:
        if required:
            raise _null(name)
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Refused(NOT_JSON.saying(f"{name} is not a list of objects"))
    return value


def strings(parent: Mapping[str, Any], name: str) -> list[str]:
    value = parent.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Refused(NOT_JSON.saying(f"{name} is not a list of strings"))
    return value


def optional(parent: Mapping[str, Any], name: str) -> str | None:
    value = parent.get(name)
    if value is not None and not isinstance(value, str):
        raise Refused(NOT_JSON.saying(f"{name} is not a string"))
    return value


def required(parent: Mapping[str, Any], name: str) -> str:
    value = optional(parent, name)
    if value is None:
        raise _null(name)
    return value


def chosen(parent: Mapping[str, Any], name: str, choices: Sequence[str]) -> str:
    """A required member that is one of an enumeration."""
    value = required(parent, name)
    if value not in choices:
        raise constraint(name, f"Member must satisfy enum value set: [{', '.join(sorted(choices))}]")
    return value


def chosen_list(parent: Mapping[str, Any], name: str, choices: Sequence[str]) -> list[str]:
    values = strings(parent, name)
    if any(value not in choices for value in values):
        raise constraint(
            name,
            f"Member must satisfy constraint: [Member must satisfy enum value set: [{', '.join(sorted(choices))}]]",
        )
    return values


def boolean(parent: Mapping[str, Any], name: str, *, default: bool) -> bool:
    """A boolean, also as ``"true"`` or ``"false"``: the v1 API has only strings."""
    value = parent.get(name)
    if value is None:
        return default
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in {"true", "false"}:
        return value == "true"
    raise Refused(NOT_JSON.saying(f"{name} is not a boolean"))


def whole(parent: Mapping[str, Any], name: str) -> int | None:
    """A whole number, also as digits: queries and the v1 API have only strings."""
    value = parent.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    try:
        return int(value) if isinstance(value, str) else int("")
    except ValueError:
        raise Refused(NOT_JSON.saying(f"'{value}' can not be converted to Integer")) from None


def _null(name: str) -> Refused:
    return constraint(name, "Member must not be null")
