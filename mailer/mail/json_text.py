"""Values as JSON that UTF-8 can encode."""

from __future__ import annotations

import json
from contextlib import suppress

import orjson

from mailer.errors import InvalidMessage
from mailer.mail.header import utf8

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_PLAIN = frozenset({str, int, bool, type(None)})


def to_json(field: str, value: object) -> str:
    """``value`` as compact JSON that UTF-8 can encode. Raises InvalidMessage naming ``field``."""
    if isinstance(value, dict) and _PLAIN.issuperset(map(type, value.values())):
        # orjson and the standard library differ for NaN and for numbers beyond 64 bits. `_PLAIN` excludes floats, and
        # orjson refuses the large numbers.
        with suppress(orjson.JSONEncodeError):
            return orjson.dumps(value).decode()
    try:
        encoded = _encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidMessage(
            field, f"cannot be written as JSON: {error}", "Pass text, numbers, lists, dicts"
        ) from error
    if not encoded.isascii():
        utf8(field, encoded)
    return encoded
