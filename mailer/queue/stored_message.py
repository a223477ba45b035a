"""Read a stored envelope, whoever wrote it, without taking the message."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mailer.masking import mask, mask_addresses
from mailer.queue import records
from mailer.queue.headers import ACCEPTED_HEADER

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class StoredMessage:
    """A tolerant view of a stored envelope. Any property that cannot be parsed is empty; nothing raises.

    ``envelope`` is the kombu message as it is stored. Text that UTF-8 cannot encode counts as missing.
    """

    envelope: bytes

    def __repr__(self) -> str:
        return f"{type(self).__name__}({mask_addresses(self.id)!r}, to {self.masked or '***'})"

    @cached_property
    def parsed(self) -> dict[str, Any]:
        """The kombu message as a dict."""
        return object_in(self.envelope)

    @property
    def headers(self) -> dict[str, Any]:
        return _dict(self.parsed.get("headers"))

    @property
    def id(self) -> str:
        return text_of(self.headers.get("id"))

    @property
    def accepted(self) -> float | None:
        """When the producer wrote the message, epoch seconds; None if not known."""
        at = records.accepted_ms(self.headers.get(ACCEPTED_HEADER))
        return None if at is None else at / 1000

    @cached_property
    def arguments(self) -> dict[str, Any]:
        """The task's arguments, in one of the two forms of `mailer.queue.payload`."""
        body = self.parsed.get("body")
        try:
            if _dict(self.parsed.get("properties")).get("body_encoding") == "base64":
                body = base64.b64decode(body)  # type: ignore[arg-type]
            _, arguments, *_ = _loaded(body)
        except (TypeError, ValueError):
            return {}
        return _dict(arguments)

    @property
    def to(self) -> str:
        """The recipient as the producer wrote it; it may have a name."""
        return text_of(self.arguments.get("to"))

    @property
    def masked(self) -> str:
        """The recipient as logs show it: ``j***@example.com``."""
        return mask(self.to) if self.to else ""

    def note(self, lane: str, name: str = "") -> str:
        """The note for its record: a line without time and verb. Empty if it has no id and ``name`` is empty too."""
        called, lane = (_CONTROL.sub(" ", each) for each in (self.id or name, lane))
        if not called:
            return ""
        return records.note(called, lane, self.headers.get(ACCEPTED_HEADER), 0, 0, self.to or None, "")


def object_in(text: Any) -> dict[str, Any]:
    """The JSON object in ``text``; empty if it does not hold one."""
    return _dict(_loaded(text))


def text_of(found: object) -> str:
    """``found`` if it is text that UTF-8 can encode, else ``""``."""
    if not isinstance(found, str):
        return ""
    try:
        found.encode()
    except UnicodeEncodeError:  # an escape for half of a surrogate pair
        return ""
    return found


def _loaded(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return None


def _dict(found: object) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}
