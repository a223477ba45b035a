"""The places of messages outside of their lanes: the shelves ``dead`` and ``held``, and the schedule.

All three have the same operations: iterate, get, requeue, drop, export. They need constant memory, and work in batches
that take Redis a few milliseconds. A message leaves its place and joins its lane in one atomic step, which checks the
stored bytes first. So a message is always in exactly one place, even if others move it at the same time.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import IO, Any, Literal

import redis

from mailer.errors import InvalidMessage, InvalidRequest, NotFound, QueueUnavailable
from mailer.masking import mask_addresses
from mailer.queue import layout
from mailer.queue.bounds import ENVELOPE_BYTES
from mailer.queue.headers import CONTENT_HEADER
from mailer.queue.keys import Keys
from mailer.queue.move import Move, Verb, move
from mailer.queue.number import number_or
from mailer.queue.payload import is_hash
from mailer.queue.queue import Queue, translated
from mailer.queue.scan import scan
from mailer.queue.script import script
from mailer.queue.search import Addressee
from mailer.queue.shelved import Shelved
from mailer.rules import Lanes

ShelfName = Literal["dead", "held", "scheduled"]

BATCH_MESSAGES = 250
BATCH_BYTES = 1_000_000

_MOST_WHOLE = ENVELOPE_BYTES + 131_072
"""Of a stored message with more bytes than this only the beginning is read, except by an export."""
_addressee = lru_cache(Addressee)

_BEGINNING, _END = -math.inf, math.inf
_BEHIND_ALL = b"\xff" * 8
_LONGEST_RUN_US = 600_000_000
"""To requeue a million messages takes less than this."""
_NAMES_AT_ONCE = 100

Progress = Callable[[int], None]
"""Called after each batch with the number of messages done so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Selects messages of a shelf: those that match every given field. ``Filter()`` selects all.

    ``after`` (inclusive) and ``before`` (exclusive) are aware datetimes. They limit when a message was set aside, or
    when it is due. ``code`` is the reason's code; ``text`` occurs in the reason, and ignores case. Neither can be used
    in the schedule, where messages have no reason. ``to`` is the recipient's address, or ``@example.com`` for a domain,
    in any spelling.
    """

    lane: str | None = None
    code: str | None = None
    text: str | None = None
    to: str | None = None
    after: datetime | None = None
    before: datetime | None = None

    def __repr__(self) -> str:
        given = {name: getattr(self, name) for name in ("lane", "code", "text", "to", "after", "before")}
        shown = {name: mask_addresses(str(each)) for name, each in given.items() if each is not None}
        return f"Filter({', '.join(f'{name}={each!r}' for name, each in shown.items())})"

    def __post_init__(self) -> None:
        for name in ("after", "before"):
            value = getattr(self, name)
            if value is not None and value.tzinfo is None:
                raise InvalidRequest(f"{name}: has no time zone. Pass an aware datetime")
        if self.to is not None and "@" not in self.to:
            raise InvalidRequest("to: is no address. Pass user@example.com, or @example.com for a whole domain")

    @property
    def looks_inside(self) -> bool:
        """Whether messages must be read to know whether they match."""
        return any(each is not None for each in (self.lane, self.code, self.text, self.to))

    def fits(self, message: Shelved) -> bool:
        if self.lane is not None and message.lane != self.lane:
            return False
        if self.code is not None and message.code.lower() != self.code.lower():
            return False
        if self.text is not None and self.text.lower() not in f"{message.code}: {message.detail}".lower():
            return False
        return self.to is None or _addressee(self.to).has(message)


@dataclass(slots=True)
class Requeued:
    """The result of a requeue.

    ``moved`` messages are in their lanes. ``refused`` ones stay where they are, counted by reason. ``missing`` are
    names without a message (any more).
    """

    moved: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Dropped:
    """The result of a drop: ``dropped`` messages are deleted. ``missing`` are names without a message (any more)."""

    dropped: int = 0
    missing: list[str] = field(default_factory=list)


Which = Filter | str | Sequence[str]
"""A filter, a name, or several names."""


class Shelf:
    """One of the three places of one account. Thread-safe.

    Every method raises QueueUnavailable if Redis fails. If that happens during a requeue or a drop, the messages done
    so far stay done, and a repeated call does the rest.
    """

    def __init__(self, queue: Queue, name: ShelfName, lanes: Sequence[str]) -> None:
        self.name = name
        self._queue = queue
        self._client: redis.Redis = queue.client
        self._keys: Keys = queue.keys
        self._stored, self._index = queue.keys.set_apart(name)
        self._lanes = Lanes(lanes)

    # -- looking

    def __len__(self) -> int:
        with translated("read"):
            return int(self._client.zcard(self._index))

    def __iter__(self) -> Iterator[Shelved]:
        return self.messages()

    def messages(self, which: Filter | None = None, *, latest_first: bool = False) -> Iterator[Shelved]:
        """The messages that match, ordered by when they were set aside (or are due), in constant memory.

        Messages that are added or removed meanwhile may be included or not. Each message that stays comes exactly once.
        """
        for batch in self._batches(which or Filter(), latest_first=latest_first):
            yield from batch

    def count(self, which: Filter | None = None) -> int:
        """The number of messages that match. Reads all messages if the filter has more than times."""
        which = which or Filter()
        if which.looks_inside:
            return sum(len(batch) for batch in self._batches(which))
        low = "-inf" if which.after is None else layout.microseconds(which.after)
        high = "+inf" if which.before is None else f"({layout.microseconds(which.before)}"
        with translated("read"):
            return int(self._client.zcount(self._index, low, high))

    def get(self, name: str) -> Shelved:
        """The message with that name. If the schedule has several, the one due first. Raises NotFound."""
        for found in self._named([name])[name]:
            return found
        raise NotFound(f"{name}: no such message is {self.name}")

    def content(self, digest: str) -> bytes | None:
        """The shared content with that hash; None if it is not stored (any more)."""
        return self._queue.content(digest)

    # -- acting

    def requeue(
        self,
        which: Which,
        *,
        lane: str | None = None,
        first: bool = False,
        expires_at: datetime | None = None,
        progress: Progress | None = None,
    ) -> Requeued:
        """Put messages back into their lanes, with no attempts spent. A scheduled message becomes due at once.

        Each goes to the tail of its lane, or with ``first`` to the head. ``lane`` names another lane. The envelope
        keeps the reason, so a message that is set aside again shows all of its reasons. Three kinds of messages are
        refused: an expired one, as no worker would send it, unless ``expires_at`` gives it a new expiry; one that
        cannot be read; and one whose lane no worker serves.

        Messages that arrive here while this runs are left alone: so a message that fails again is not requeued again.
        """
        if lane is not None:
            self._lanes.check(lane)
        if expires_at is not None and (expires_at.tzinfo is None or expires_at <= datetime.now(UTC)):
            raise InvalidRequest("expires_at: has passed or has no time zone. Pass an aware datetime that is to come")
        done = Requeued()
        # To the head the latest goes first, so that a worker takes the oldest next.
        for batch in self._chosen(which, done.missing, latest_first=first):
            done.moved += self._requeue(batch, done, lane, expires_at, first=first)
            if progress:
                progress(done.moved)
        return done

    def drop(self, which: Which, *, progress: Progress | None = None) -> Dropped:
        """Delete messages for good. Quota that they spent stays spent.

        Their idempotency keys are free again, so that a correction can be sent. Held messages and suspects keep their
        keys, because they may have been sent.
        """
        return self._let_go("drop", which, progress)

    def sent(self, which: Which, *, progress: Progress | None = None) -> Dropped:
        """A person says that held messages were delivered. They are deleted; their quota stays spent."""
        if self.name != "held":
            raise InvalidRequest(f"{self.name}: whether these were sent is known. Only of held messages it is not")
        return self._let_go("sent", which, progress)

    def export(self, file: IO[str], which: Which | None = None, *, progress: Progress | None = None) -> int:
        """Write messages completely, as lines of JSON; returns their number. The file holds addresses and bodies.

        A line is ``{"shelf", "name", "lane", "at", "code", "detail", "envelope"}``. ``at`` is ISO 8601. ``envelope`` is
        the kombu message as text; if it is not UTF-8, ``envelope_base64`` replaces it. Shared content has a line of its
        own before the first message that refers to it: ``{"content": hash, "base64": bytes}``. Raises NotFound at the
        end if a name has no message.
        """
        written, contents, missing = 0, set[str](), list[str]()
        for batch in self._chosen(which or Filter(), missing):
            for message in batch:
                digest = message.headers.get(CONTENT_HEADER)
                if is_hash(digest) and digest not in contents:
                    contents.add(digest)
                    stored = self.content(digest)
                    if stored is not None:
                        shared = {"content": digest, "base64": base64.b64encode(stored).decode()}
                        file.write(json.dumps(shared) + "\n")
                file.write(json.dumps(_exported(self._all_of(message)), ensure_ascii=False) + "\n")
            written += len(batch)
            if progress:
                progress(written)
        if missing:
            raise NotFound(f"{', '.join(missing)}: no such message is {self.name}; {written} were written")
        return written

    # -- the parts

    def _batches(
        self, which: Filter, *, latest_first: bool = False, begin: float = _BEGINNING, end: float = _END
    ) -> Iterator[list[Shelved]]:
        """The messages that match, in batches. Their times are from ``begin`` to before ``end``, epoch microseconds."""
        if self.name == "scheduled" and (which.code is not None or which.text is not None):
            raise InvalidRequest("code, text: a scheduled message has no reason to look for. Use lane, to or times")
        low = begin if which.after is None else max(begin, layout.microseconds(which.after))
        high = end if which.before is None else min(end, layout.microseconds(which.before))
        keys = [self._index] if self.name == "scheduled" else [self._index, self._stored]
        last: tuple[Any, bytes] = (high, b"" if high < _END else _BEHIND_ALL) if latest_first else (low, b"")
        begins = True
        while True:
            arguments = [BATCH_MESSAGES, BATCH_BYTES, int(latest_first), *last, int(begins), _MOST_WHOLE]
            with translated("read"):
                found = script("page").run(self._client, keys, arguments)
            page = list(zip(found[::4], found[1::4], found[2::4], found[3::4], strict=True))
            within = [each for each in page if low <= float(each[0]) < high or high == _END]
            if fitting := [message for each in within if which.fits(message := self._message(*each))]:
                yield fitting
            if len(within) < len(page) or not page:
                return
            last, begins = page[-1][:2], False

    def _message(self, score: bytes, member: bytes, stored: bytes, whole: bytes = b"") -> Shelved:
        if self.name == "scheduled":
            return Shelved.in_schedule(score, member)
        return Shelved.on_shelf(self.name, member, score, stored, whole.decode())

    def _all_of(self, message: Shelved) -> Shelved:
        """The message with all of its bytes. If it was cut it is read again, alone."""
        return next(iter(self._named([message.name])[message.name]), message) if message.whole else message

    def _chosen(self, which: Which, missing: list[str], *, latest_first: bool = False) -> Iterator[list[Shelved]]:
        """The chosen messages that are here now, in batches. Names without a message are added to ``missing``."""
        if isinstance(which, Filter):
            yield from self._present(which, latest_first=latest_first)
            return
        names = list(dict.fromkeys([which] if isinstance(which, str) else which))
        if latest_first:
            names.reverse()
        for start in range(0, len(names), _NAMES_AT_ONCE):
            batch = []
            for name, found in self._named(names[start : start + _NAMES_AT_ONCE]).items():
                batch += found[::-1] if latest_first else found
                if not found:
                    missing.append(name)
            if batch:
                yield batch

    def _present(self, which: Filter, *, latest_first: bool) -> Iterator[list[Shelved]]:
        """The matching messages that are here now. Messages that arrive later are left out, also failed retries."""
        with translated("read"):
            pipe = self._client.pipeline(transaction=True)
            pipe.time()
            pipe.get(self._keys.schedule_number)
            pipe.zrange(self._index, -1, -1, withscores=True)
            (seconds, micros), number, latest = pipe.execute()
        if self.name == "scheduled":
            # If the number was overwritten, schedule.lua goes on with the clock's milliseconds.
            last = number_or(seconds * 1000, number or "0")
            for batch in self._batches(which, latest_first=latest_first):
                if present := [each for each in batch if number_or(0, layout.scheduled(each.stored)[0]) <= last]:
                    yield present
        else:
            begun = seconds * 1_000_000 + micros
            # Messages that are set aside from now on have later times than this. If the clock was put back, earlier
            # messages have later times too: later than any message that is set aside while this runs.
            spans = [(_BEGINNING, begun + 1)]
            if latest and latest[0][1] > begun + _LONGEST_RUN_US:
                spans.append((begun + _LONGEST_RUN_US, math.nextafter(latest[0][1], _END)))
            for begin, end in reversed(spans) if latest_first else spans:
                yield from self._batches(which, latest_first=latest_first, begin=begin, end=end)

    def _named(self, names: Sequence[str]) -> dict[str, list[Shelved]]:
        """The messages with each name. The schedule may have several messages with the same id."""
        with translated("read"):
            if self.name == "scheduled":
                return {name: self._scheduled_as(name) for name in names}
            pipe = self._client.pipeline(transaction=True)
            for name in names:
                pipe.hget(self._stored, _raw(name))
                pipe.zscore(self._index, _raw(name))
            found = pipe.execute()
        return {
            name: [] if stored is None or score is None else [self._message(score, _raw(name), stored)]
            for name, stored, score in zip(names, found[::2], found[1::2], strict=True)
        }

    def _scheduled_as(self, name: str) -> list[Shelved]:
        # The schedule has no index of ids: Redis searches it page by page.
        text = name if name.isascii() else ""
        entries = {member: score for score, member in scan(self._client, self._stored, "zset", [text])}
        messages = [Shelved.in_schedule(score, member) for member, score in entries.items()]
        return sorted((each for each in messages if each.name == name), key=lambda each: (each.at, each.stored))

    def _let_go(self, verb: Verb, which: Which, progress: Progress | None) -> Dropped:
        done = Dropped()
        for batch in self._chosen(which, done.missing):
            done.dropped += self._move(verb, [self._one(message, message.lane) for message in batch])
            if progress:
                progress(done.dropped)
        return done

    def _requeue(
        self, batch: list[Shelved], done: Requeued, lane: str | None, expires_at: datetime | None, *, first: bool
    ) -> int:
        moves: dict[str, list[Move]] = {}
        now = datetime.now(UTC)
        for message in batch:
            try:
                into = self._lanes.check(lane or message.lane)
                envelope = message.requeued(expires_at, now)
            except InvalidMessage as why:
                done.refused[str(why)] = done.refused.get(str(why), 0) + 1
                continue
            moves.setdefault(into, []).append(self._one(message, into, envelope))
        return sum(self._move("head" if first else "tail", of_one, lane=into) for into, of_one in moves.items())

    def _one(self, message: Shelved, lane: str, envelope: bytes = b"") -> Move:
        note = message.note(lane, message.readable_name)
        if self.name == "scheduled":
            return Move(message.stored, "", note, envelope)
        return Move(_raw(message.name), message.digest, note, envelope)

    def _move(self, verb: Verb, moves: list[Move], *, lane: str = "") -> int:
        """Carry out ``moves``; returns how many were done. ``lane`` is the lane that they are put into."""
        with translated("write", "changed by this call"):
            moved, why = move(self._client, self._keys, self.name, verb, moves, lane=lane)
        if why:
            raise QueueUnavailable(f"Redis refused: {why}. {moved} of {len(moves)} were changed")
        return moved


def _raw(name: str) -> bytes:
    return name.encode(errors="surrogateescape")


def _exported(message: Shelved) -> dict[str, str]:
    fields = {
        "shelf": message.shelf,
        "name": message.readable_name,
        "lane": message.lane,
        "at": message.at.isoformat(),
        "code": message.code,
        "detail": message.detail,
    }
    try:
        return {**fields, "envelope": message.envelope.decode()}
    except UnicodeDecodeError:
        return {**fields, "envelope_base64": base64.b64encode(message.envelope).decode()}
