"""One recipient of a bulk send, with the values for this recipient."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from mailer.errors import InvalidMessage
from mailer.mail.address import Address
from mailer.mail.header import kind, utf8
from mailer.mail.json_text import to_json
from mailer.masking import mask

MAX_VARIABLES_CHARS = 262_144
"""SES's own limit for template data: the variables of one recipient as JSON."""

MAX_KEY_CHARS = 512

_KEYS = frozenset({"to", "variables", "idempotency_key"})
_KOMBU_TYPE = frozenset({"__type__", "__value__"})
_RESERVED = "has just the keys __type__ and __value__, which kombu reserves"
_PLAIN = frozenset({str, int, bool, type(None)})
_MAX_DEPTH = 32
_NO_VARIABLES: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True)
class Recipient:
    """The address that gets a message, and its values for the variables of the template.

    ``variables`` contains JSON values: text, numbers, booleans, None, and lists (or tuples) and dicts of these. With an
    ``idempotency_key``, a second message to the same address with the same key within 24 hours is not enqueued.
    """

    to: str
    variables: Mapping[str, object] = field(default_factory=dict)
    idempotency_key: str | None = None

    def __repr__(self) -> str:
        # Callers may pass any object.
        return f"Recipient(to={mask(self.to) if isinstance(self.to, str) else '***'})"


def recipient_of(row: object) -> Recipient:
    """``row`` (a Recipient, a mapping of its fields, or an address) as a Recipient. Raises InvalidMessage."""
    if isinstance(row, Recipient):
        return row
    if isinstance(row, str):
        return Recipient(row, _NO_VARIABLES)
    if isinstance(row, Mapping):
        if unknown := row.keys() - _KEYS:
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
    """``variables`` as JSON. Raises InvalidMessage for a variable that JSON would change or cannot hold."""
    if not isinstance(variables, Mapping):
        raise InvalidMessage("variables", f"are {kind(variables)}", "Pass a dict of names to values")
    if variables.keys() == _KOMBU_TYPE:
        raise InvalidMessage("variables", _RESERVED, "Rename one")
    for name, value in variables.items():
        if not isinstance(name, str):
            raise InvalidMessage("variables", f"have a name {kind(name)}", "Use text for names")
        if type(value) not in _PLAIN:
            _check_value(value, (name,))
    encoded = to_json("variables", variables if isinstance(variables, dict) else dict(variables))
    if len(encoded) > MAX_VARIABLES_CHARS:
        raise InvalidMessage(
            "variables",
            f"are {len(encoded):,} characters of JSON",
            f"At most {MAX_VARIABLES_CHARS:,}: put what all recipients share into the template",
        )
    return encoded


def _check_value(value: object, path: tuple[object, ...]) -> None:
    """Raises InvalidMessage for a value that JSON cannot hold, or would change. ``path`` leads to it."""
    for key, item in _parts(value, path):
        if type(item) not in _PLAIN:
            if len(path) > _MAX_DEPTH:
                raise _unfit((*path, key), "is nested too deeply", "Flatten it")
            _check_value(item, (*path, key))


def _parts(value: object, path: tuple[object, ...]) -> Iterable[tuple[object, object]]:
    if isinstance(value, list | tuple):
        return enumerate(value)
    if isinstance(value, dict):
        if value.keys() == _KOMBU_TYPE:
            raise _unfit(path, _RESERVED, "Rename one")
        for key in value:
            if not isinstance(key, str):
                raise _unfit(path, f"has a key {kind(key)}, which JSON would turn into text", "Use text")
        return value.items()
    if isinstance(value, float) and not math.isfinite(value):
        raise _unfit(path, "is not a finite number", "Pass None where there is no value")
    if not isinstance(value, str | int | float):
        raise _unfit(path, f"is {kind(value)}, which JSON cannot hold", _remedy(value))
    return ()


def _unfit(path: tuple[object, ...], problem: str, remedy: str) -> InvalidMessage:
    where = "".join(f"[{part!s:.80}]" for part in path)
    return InvalidMessage(f"variables{where:.300}", problem, remedy)


def _remedy(value: object) -> str:
    if isinstance(value, Decimal):
        return "Pass float(...) of it to calculate with, or the text that readers should see: f'{price:.2f}'"
    if isinstance(value, date):
        return "Pass the text that readers should see: f'{day:%d %B %Y}'"
    if isinstance(value, AbstractSet):
        return "Pass sorted(...) of it"
    if isinstance(value, Mapping):
        return "Pass dict(...) of it"
    return "Write it as text, the way readers should see it"


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
    """The hex digest under which the queue stores ``key`` for the recipient. Raises InvalidMessage."""
    return hashlib.sha256(utf8("idempotency_key", f"{key}\0{to.address}")).hexdigest()
