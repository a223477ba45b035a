"""A message on a shelf or in the schedule, for a person to read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from mailer.document import When
from mailer.errors import InvalidMessage
from mailer.mail.message import Message
from mailer.masking import mask_addresses
from mailer.queue import layout, payload
from mailer.queue.bounds import ENVELOPE_BYTES
from mailer.queue.headers import CONTENT_HEADER, DENIED_HEADER, FAILING_HEADER, KEY_HEADER
from mailer.queue.stored_message import StoredMessage, text_of

HISTORY_HEADER = "mailer_history"
"""The envelope's header with the reasons for which a message was set aside before it was requeued."""
MAX_HISTORY = 10

_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class Reason:
    """Why and when a message was set aside.

    ``shelf`` is ``dead`` or ``held``. ``at`` is the time, in UTC. ``code`` and ``detail`` are SES's words, which may
    quote addresses. ``attempts`` is how often the message had been tried.
    """

    shelf: str
    at: When
    code: str
    detail: str
    attempts: int

    def __repr__(self) -> str:
        return f"Reason({self.shelf}, {mask_addresses(f'{self.code}: {self.detail}')!r})"


@dataclass(frozen=True, repr=False)
class Shelved(StoredMessage):
    """One message, in its state when it was read.

    ``shelf`` is ``dead``, ``held`` or ``scheduled``. ``name`` identifies it there: its id, or the id with a suffix if
    another message with the same id is there. ``lane`` is where it came from and goes back to. ``at`` is when it was
    set aside, or when it is due, in UTC. ``code`` and ``detail`` say why it was set aside, in SES's words; both are
    empty for a scheduled message.
    """

    shelf: str
    name: str
    lane: str
    at: datetime
    code: str
    detail: str
    stored: bytes
    """All of its stored bytes; only their beginning if they are more than a message may have."""
    whole: str = ""
    """The digest of all stored bytes if ``stored`` has only their beginning, else empty."""

    def __repr__(self) -> str:
        name, code = mask_addresses(self.readable_name), mask_addresses(self.code)
        return f"Shelved({self.shelf}, {name!r}, to {self.masked or '***'}, {code!r})"

    @classmethod
    def on_shelf(cls, shelf: str, name: bytes, score: bytes, stored: bytes, whole: str = "") -> Shelved:
        why, envelope = layout.set_aside(stored)
        its_name, at = name.decode(errors="surrogateescape"), layout.moment(float(score))
        return cls(envelope, shelf, its_name, why.lane, at, why.code, why.detail, stored, whole)

    @classmethod
    def in_schedule(cls, score: bytes, member: bytes) -> Shelved:
        number, lane, envelope = layout.scheduled(member)
        found = cls(envelope, "scheduled", "", lane, layout.moment(float(score)), "", "", member)
        start = member[:_LONGEST_NAME].decode(errors="surrogateescape")
        object.__setattr__(found, "name", found.id or number or start)
        return found

    @property
    def digest(self) -> str:
        """The digest of its stored bytes. It is compared before a move, so that no other message is moved instead."""
        return self.whole or layout.digest_of(self.stored)

    @property
    def readable_name(self) -> str:
        """The name, as text that UTF-8 can encode."""
        return self.name.encode(errors="surrogateescape").decode(errors="replace")

    @property
    def is_whole(self) -> bool:
        """Whether the envelope has the parts of a task: headers and a body."""
        return isinstance(self.parsed.get("headers"), dict) and "body" in self.parsed

    @property
    def attempts(self) -> int:
        tried = self.headers.get("retries")
        earlier = tried if isinstance(tried, int) and tried > 0 else 0
        return earlier if self.shelf == "scheduled" or not self.is_whole else earlier + 1

    @property
    def expires_at(self) -> datetime | None:
        """The message is not sent after this time; None if it has no expiry."""
        try:
            expires = datetime.fromisoformat(self.headers.get("expires") or "")
        except (TypeError, ValueError):
            return None
        return expires if expires.tzinfo else expires.replace(tzinfo=UTC)

    @property
    def history(self) -> list[Reason]:
        """The reasons for which it was set aside before earlier requeues: the last `MAX_HISTORY`, oldest first."""
        written = self.headers.get(HISTORY_HEADER)
        found = []
        for each in written if isinstance(written, list) else []:
            if isinstance(each, dict):
                why, tried = layout.Why.read(each), each.get("attempts")
                attempts = tried if isinstance(tried, int) else 0
                found.append(Reason(text_of(each.get("shelf")), why.at, why.code, why.detail, attempts))
        return found

    def message(self, fetch_content: Callable[[str], bytes | None]) -> Message:
        """The mail, rendered. ``fetch_content`` is `Queue.content`. Raises InvalidMessage."""
        if not self.is_whole:
            raise InvalidMessage("envelope", "cannot be read", "Export it to look at its bytes")
        content_hash = self.headers.get(CONTENT_HEADER)
        return payload.decode(self.arguments, fetch_content, message_id=self.id, content_hash=content_hash)

    def requeued(self, expires_at: datetime | None, now: datetime) -> bytes:
        """The envelope for a requeue: no attempts spent, due at once, and with its history.

        If the message has expired, ``expires_at`` becomes its new expiry. Raises InvalidMessage if the message cannot
        be tried: a worker would set it aside again, or discard it as expired.
        """
        if not self.is_whole or not self.id:
            raise InvalidMessage("envelope", "cannot be read as a message", "Export it or drop it")
        headers, properties = dict(self.headers), self.parsed.get("properties")
        if self.expires_at is not None and self.expires_at <= now:
            if expires_at is None:
                raise InvalidMessage("expires_at", "has passed", "Give it a new one, or drop it")
            headers["expires"] = expires_at.astimezone(UTC).isoformat()
            if isinstance(properties, dict):
                properties = {name: value for name, value in properties.items() if name != "expiration"}
        headers.pop(FAILING_HEADER, None)
        headers.pop(DENIED_HEADER, None)
        headers |= {"retries": 0, "eta": None}
        if self.shelf == "held":
            # The message may have been sent. Without the header the scripts never free its idempotency key.
            headers.pop(KEY_HEADER, None)
        if self.shelf != "scheduled":
            earlier = headers.get(HISTORY_HEADER)
            why = {"at_us": layout.microseconds(self.at), "code": self.code, "detail": self.detail}
            reason = {"shelf": self.shelf, **why, "attempts": self.attempts}
            headers[HISTORY_HEADER] = [*(earlier if isinstance(earlier, list) else []), reason][-MAX_HISTORY:]
        whole = {**self.parsed, "headers": headers, "properties": properties}
        try:
            written = json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:  # half of a surrogate pair: only escapes can write it
            written = json.dumps(whole, separators=(",", ":")).encode()
        if len(written) > ENVELOPE_BYTES:
            raise InvalidMessage("envelope", "has more than 10 MiB, and no worker takes it", "Export it or drop it")
        return written
