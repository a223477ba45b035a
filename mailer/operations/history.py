"""The history of a message: its record together with its present place. Reads Redis and changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

import redis

from mailer.document import Moment
from mailer.masking import mask_addresses
from mailer.queue.keys import Keys
from mailer.queue.records import Line, Records
from mailer.queue.scan import Progress
from mailer.queue.search import Found, Whereabouts
from mailer.queue.settlement import VERBS
from mailer.settings import Settings

GONE = {name: verb.state for name, verb in VERBS.items() if verb.state}
"""The verbs that leave nothing of a message in the queue, each with the resulting state."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a message. ``what`` is ``accepted``, ``taken``, or a verb of the table in docs/design.md.

    ``attempt`` is None for an event outside any attempt. ``answer`` is SES's MessageId if the message was sent, else a
    code; ``words`` explain it.
    """

    at: Moment
    what: str
    attempt: int | None = None
    answer: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True)
class MessageHistory:
    """One message: ``mailer show --json`` and ``mailer find --json`` print it. Later versions only add fields.

    ``state`` is its present place or final state: one of ``waiting``, ``leased``, ``scheduled``, ``dead``, ``held``,
    ``sent``, ``discarded`` (expired or revoked), ``dropped`` (by a person) and ``unknown``. It is ``unknown`` if the
    message moved during the search, or if the end of its record is gone. ``to`` is the masked recipient, None if the
    message is in no place any more. ``accepted_at`` is when its producer wrote it, ``last_at`` the time of the latest
    known event. ``ses_id`` is SES's MessageId of the last send. ``code`` and ``words`` say why it was set aside, or why
    it was not sent. ``until`` is when its lease ends, or when it is due.
    """

    id: str
    state: str
    lane: str | None
    to: str | None
    accepted_at: Moment | None
    last_at: Moment
    ses_id: str | None
    code: str
    words: str
    until: Moment | None
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class History:
    """One message: it has a record, a present place or both. ``lines`` are the record, oldest first. ``found`` is the
    place (None: in no place)."""

    id: str
    lines: tuple[Line, ...]
    found: Found | None

    @property
    def state(self) -> str:
        """As `MessageHistory` says."""
        return self.found.place if self.found else GONE.get(self.lines[-1].verb, "unknown")

    @property
    def _latest(self) -> Found | Line:
        return self.found or self.lines[-1]

    @property
    def lane(self) -> str:
        return self._latest.lane

    @property
    def ses_id(self) -> str | None:
        """SES's MessageId of the last send."""
        return next((line.ses_id for line in reversed(self.lines) if line.ses_id), None)

    @property
    def words(self) -> str:
        """Why it was set aside, or why it was not sent. Addresses are masked, as records have them."""
        return mask_addresses(self._latest.words)

    @property
    def accepted(self) -> float | None:
        """The time at which its producer wrote it, in epoch seconds on the producer's clock."""
        known = next((line.accepted for line in self.lines if line.accepted is not None), None)
        return known if known is not None or self.found is None else self.found.accepted

    @property
    def last_at(self) -> float:
        """The time of the latest known event, in epoch seconds."""
        if self.lines:
            return self.lines[-1].at
        return self.accepted or (self.found.at if self.found and self.found.at else 0.0)

    @property
    def events(self) -> list[Event]:
        """The events so far, in order: ``accepted``, ``taken``, and the verbs of the record."""
        events = []
        for line in self.lines:
            if line.taken is not None:
                events.append(Event(line.taken, "taken", line.attempt or None))
            events.append(Event(line.at, line.verb, line.attempt or None, line.answer, line.words))
        if self.accepted is not None:
            # Always first, as the producer's clock may differ from Redis's.
            events.insert(0, Event(self.accepted, "accepted"))
        return events

    @property
    def told(self) -> MessageHistory:
        """The document of it for programs."""
        found = self.found
        return MessageHistory(
            id=self.id,
            state=self.state,
            lane=self.lane,
            to=(found.masked or None) if found else None,
            accepted_at=self.accepted,
            last_at=self.last_at,
            ses_id=self.ses_id,
            code=self._latest.code,
            words=self.words,
            until=found.at if found and found.place in ("leased", "scheduled") else None,
            events=tuple(self.events),
        )


def history_of(
    client: redis.Redis, settings: Settings, message_id: str, progress: Progress | None = None
) -> History | None:
    """The history of a message; None if it is in no place and has no record. Raises redis-py's errors.

    The places are searched only if the record does not end with a verb of `GONE`.
    """
    keys = Keys.of(settings)
    lines = Records(client, keys).of(message_id)
    found = None
    if not lines or lines[-1].verb not in GONE:
        found = Whereabouts(client, keys, settings.lanes, progress).of(message_id)
    return History(message_id, tuple(lines), found) if lines or found else None


def histories_to(
    client: redis.Redis, settings: Settings, address: str, progress: Progress | None = None
) -> list[History]:
    """The messages to an address in any spelling, the latest first. Raises redis-py's errors."""
    keys = Keys.of(settings)
    found = {each.id: each for each in Whereabouts(client, keys, settings.lanes, progress).to(address)}
    lines: dict[str, list[Line]] = {message_id: [] for message_id in found}
    for line in Records(client, keys).to(address, progress):
        lines.setdefault(line.id, []).append(line)
    histories = [History(message_id, tuple(its), found.get(message_id)) for message_id, its in lines.items()]
    return sorted(histories, key=lambda each: each.last_at, reverse=True)
