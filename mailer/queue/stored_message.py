"""What a message's envelope says, whoever wrote it: for those who look into messages without taking them."""

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
    """A message in its envelope, which need be none: each part is read by itself, and is empty where it cannot be.

    ``envelope`` is the kombu message as it is stored. Text that UTF-8 cannot encode is none.
    """

    envelope: bytes

    def __repr__(self) -> str:
        return f"{type(self).__name__}({mask_addresses(self.id)!r}, to {self.masked or '***'})"

    @cached_property
    def parsed(self) -> dict[str, Any]:
        """The kombu message."""
        return object_in(self.envelope)

    @property
    def headers(self) -> dict[str, Any]:
        """The envelope's headers."""
        return _dict(self.parsed.get("headers"))

    @property
    def id(self) -> str:
        """The message's id."""
        return text_of(self.headers.get("id"))

    @property
    def accepted(self) -> float | None:
        """When its producer wrote it, epoch seconds."""
        at = records.accepted_ms(self.headers.get(ACCEPTED_HEADER))
        return None if at is None else at / 1000

    @cached_property
    def arguments(self) -> dict[str, Any]:
        """The task's arguments, as `mailer.queue.payload` has them."""
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
        """The recipient as the producer wrote it, perhaps with a name."""
        return text_of(self.arguments.get("to"))

    @property
    def masked(self) -> str:
        """The recipient as logs show it: ``j***@example.com``."""
        return mask(self.to) if self.to else ""

    def note(self, lane: str, name: str = "") -> str:
        """What its record says of it after the moment and the verb; empty where it has neither an id nor ``name``."""
        called, lane = (_CONTROL.sub(" ", each) for each in (self.id or name, lane))
        if not called:
            return ""
        return records.note(called, lane, self.headers.get(ACCEPTED_HEADER), 0, 0, self.to or None, "")


def object_in(text: Any) -> dict[str, Any]:
    """The JSON object that ``text`` is; empty where it is none."""
    return _dict(_loaded(text))


def text_of(found: object) -> str:
    """``found`` if it is text that UTF-8 can encode, else none."""
    if not isinstance(found, str):
        return ""
    try:
        found.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which only escapes can write
        return ""
    return found


def _loaded(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return None


def _dict(found: object) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}
