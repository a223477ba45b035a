"""One recipient of a bulk send, with what is particular to them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from mailer.address import Address
from mailer.errors import InvalidMessage
from mailer.header import kind
from mailer.payload import to_json

MAX_VARIABLES_CHARS = 262_144
"""The variables of one recipient as JSON: SES's own bound for template data."""

MAX_KEY_CHARS = 512

_KEYS = frozenset({"to", "variables", "idempotency_key"})
_KOMBU_TYPE = frozenset({"__type__", "__value__"})
_RESERVED = "has just the keys __type__ and __value__, which kombu reserves"
_SCALARS = (str, int, float, bool, type(None))
_NO_VARIABLES: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who gets a message, and the values of the template's variables for them.

    ``variables`` holds what JSON holds: text, numbers, booleans, None, and lists and dicts of these.
    With an ``idempotency_key``, a second message to the same address under the same key within 24 hours is not
    enqueued.
    """

    to: str
    variables: Mapping[str, object] = field(default_factory=dict)
    idempotency_key: str | None = None


def recipient_of(row: object) -> Recipient:
    """``row`` (a Recipient, its fields in a mapping, or just an address) as a Recipient. Raises InvalidMessage."""
    if isinstance(row, Recipient):
        return row
    if isinstance(row, str):
        return Recipient(row, _NO_VARIABLES)
    if isinstance(row, Mapping):
        unknown = row.keys() - _KEYS
        if unknown:
            raise InvalidMessage(
                f"{min(map(str, unknown)):.80}",
                "is not a field of a recipient",
                'Put the template\'s variables in a dict under "variables"',
            )
        if "to" not in row:
            raise InvalidMessage("to", "is missing", 'Put the address under "to"')
        return Recipient(row["to"], row.get("variables", _NO_VARIABLES), row.get("idempotency_key"))
    raise InvalidMessage("to", f"is {kind(row)}", "Pass mailer.Recipient, a dict or an address")


def variables_json(variables: object) -> str:
    """``variables`` as JSON, if they come out of it as they went in. Raises InvalidMessage naming the variable."""
    if not isinstance(variables, Mapping):
        raise InvalidMessage("variables", f"are {kind(variables)}", "Pass a dict of names to values")
    if variables.keys() == _KOMBU_TYPE:
        raise InvalidMessage("variables", _RESERVED, "Rename one")
    for name, value in variables.items():
        if not isinstance(name, str):
            raise InvalidMessage("variables", f"have a name {kind(name)}", "Use text for names")
        if not isinstance(value, _SCALARS):
            _check_nested(f"variables[{name:.80}]", value)
    encoded = to_json("variables", variables if isinstance(variables, dict) else dict(variables))
    if len(encoded) > MAX_VARIABLES_CHARS:
        raise InvalidMessage(
            "variables",
            f"are {len(encoded):,} characters of JSON",
            f"At most {MAX_VARIABLES_CHARS:,}: put what all recipients share into the template",
        )
    return encoded


def _check_nested(name: str, value: object, depth: int = 0) -> None:
    if depth > 32:
        raise InvalidMessage(name, "is nested too deeply", "Flatten it")
    if isinstance(value, dict):
        if value.keys() == _KOMBU_TYPE:
            raise InvalidMessage(name, _RESERVED, "Rename one")
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidMessage(name, f"has a key {kind(key)}, which JSON would turn into text", "Use text")
            _check_nested(name, item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_nested(name, item, depth + 1)
    elif not isinstance(value, _SCALARS):
        raise InvalidMessage(
            name, f"is {kind(value)}, which JSON cannot hold", "Write it as text, the way readers should see it"
        )


def check_key(key: object) -> str | None:
    """``key`` if it can be an idempotency key, or None. Raises InvalidMessage."""
    if key is None:
        return None
    if not isinstance(key, str) or not key or len(key) > MAX_KEY_CHARS:
        raise InvalidMessage(
            "idempotency_key", "is not a key", f"Pass 1 to {MAX_KEY_CHARS} characters, or None for no key"
        )
    return key


def digest_of(key: str, to: Address) -> str:
    """The hex digest under which the queue remembers ``key`` for the recipient."""
    try:
        return hashlib.sha256(f"{key}\0{to.address}".encode()).hexdigest()
    except UnicodeEncodeError as error:
        raise InvalidMessage(
            "idempotency_key", "contains half of a surrogate pair", "Pass text that UTF-8 can encode"
        ) from error
