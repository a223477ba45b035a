"""The work of `send_many`: turns rows into entries for the queue, in batches and in constant memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mailer.errors import InvalidMessage, QueueUnavailable, Unwritable
from mailer.mail.address import parse
from mailer.mail.content import Structured
from mailer.mail.message_id import MessageIds, new_base, numbered
from mailer.mail.recipient import check_key, digest_of, recipient_of, variables_json
from mailer.producer.timing import Timing
from mailer.queue.envelope import Envelope
from mailer.queue.queue import Entry, Queue
from mailer.queue.session import Session

BATCH_ENTRIES = 256
BATCH_BYTES = 1024 * 1024
KEPT_ERRORS = 100

_SPOOL_MEMORY_BYTES = 16 * 1024 * 1024
_DIGEST_CHARS = 64

OnInvalidRow = Callable[[InvalidMessage], object]
Progress = Callable[[int, int], object]


@dataclass(frozen=True, slots=True)
class SendManyResult:
    """The result of a `send_many`.

    ``ids`` are the message ids in the order of the valid rows, compact for any number of ids. ``accepted`` counts the
    enqueued messages. ``duplicates`` counts those that were not enqueued because their idempotency key was used within
    24 hours; their id is the earlier message's. ``invalid`` counts the skipped rows. ``errors`` are the first 100
    errors of skipped rows, each with its ``row`` (from 0).
    """

    ids: MessageIds
    accepted: int
    duplicates: int
    invalid: int
    errors: tuple[InvalidMessage, ...]


@dataclass(eq=False, repr=False)
class Bulk:
    """One call of `send_many`. It makes the entries of valid rows, reports the invalid rows and counts both."""

    queue: Queue
    lane: str
    content: Structured
    timing: Timing
    progress: Progress | None
    durable: bool

    def __post_init__(self) -> None:
        eta, expires = self.timing.eta, self.timing.expires
        self._envelope = Envelope(self.lane, content_hash=self.content.hash, eta=eta, expires=expires)
        self._due_us = self.timing.due_us
        self._base = new_base()
        self._made = self._rows = self._accepted = self._invalid = 0
        self._ids = MessageIds()
        self._errors: list[InvalidMessage] = []

    def all_or_none(self, rows: Iterable[object]) -> SendManyResult:
        """Enqueue all rows. If one is invalid, enqueue none and raise its InvalidMessage."""
        spool = tempfile.SpooledTemporaryFile(max_size=_SPOOL_MEMORY_BYTES)  # noqa: SIM115 - closing it may fail too
        try:
            for entry in self._entries(rows, None):
                _spool(spool.write, entry.idempotency.encode().ljust(_DIGEST_CHARS) + entry.envelope + b"\n")
            _spool(spool.seek, 0)
            self._enqueue(self._spooled(spool))
        finally:
            # After a failed write, closing tries to write the same again.
            with suppress(OSError):
                spool.close()
        return self._result()

    def skipping(self, rows: Iterable[object], on_invalid_row: OnInvalidRow | None) -> SendManyResult:
        """Enqueue the valid rows as they come. Pass the error of each invalid row to ``on_invalid_row``."""
        self._enqueue(self._entries(rows, on_invalid_row or (lambda _: None)))
        return self._result()

    def _result(self) -> SendManyResult:
        self._report()
        return SendManyResult(
            ids=self._ids,
            accepted=self._accepted,
            duplicates=len(self._ids) - self._accepted,
            invalid=self._invalid,
            errors=tuple(self._errors),
        )

    def _entries(self, rows: Iterable[object], on_invalid_row: OnInvalidRow | None) -> Iterator[Entry]:
        for row in rows:
            try:
                entry = self._entry(row)
            except InvalidMessage as error:
                located = InvalidMessage(error.field, error.problem, error.remedy, row=self._rows)
                if on_invalid_row is None:
                    raise located from error
                self._invalid += 1
                if len(self._errors) < KEPT_ERRORS:
                    self._errors.append(located)
                on_invalid_row(located)
            else:
                yield entry
            self._rows += 1
            if self._rows % BATCH_ENTRIES == 0:
                self._report()

    def _entry(self, row: object) -> Entry:
        recipient = recipient_of(row)
        to = parse(recipient.to)
        variables = variables_json(recipient.variables)
        self.content.check(recipient.variables, variables)
        key = check_key(recipient.idempotency_key)
        digest = digest_of(key, to) if key else ""
        message_id = numbered(self._base, self._made)
        self._made += 1
        return Entry(
            id=message_id,
            envelope=self._envelope.by_reference(message_id, to.header, to.masked, variables, digest),
            due_us=self._due_us,
            idempotency=digest,
        )

    def _spooled(self, spool: Iterable[bytes]) -> Iterator[Entry]:
        for number, line in enumerate(spool):
            yield Entry(
                id=numbered(self._base, number),
                envelope=line[_DIGEST_CHARS:-1],
                due_us=self._due_us,
                idempotency=line[:_DIGEST_CHARS].decode().rstrip(),
            )

    def _enqueue(self, entries: Iterable[Entry]) -> None:
        if not self.durable:
            self._put_all(entries, None)
            return
        # One connection for all batches, so that the server which confirms its disk is the one that has the messages.
        with self.queue.session() as session:
            self.queue.check_durable(session)
            self._put_all(entries, session)
            self.queue.until_durable(session, self._ids)

    def _put_all(self, entries: Iterable[Entry], session: Session | None) -> None:
        batch: list[Entry] = []
        size = 0
        try:
            for entry in entries:
                batch.append(entry)
                size += len(entry.envelope)
                if len(batch) == BATCH_ENTRIES or size >= BATCH_BYTES:
                    self._put(batch, session)
                    batch, size = [], 0
            if batch:
                self._put(batch, session)
        except Exception as error:  # from Redis, from the caller's iterable, or from a callback
            if self._accepted:
                if isinstance(error, QueueUnavailable):
                    error.enqueued = None
                error.add_note(
                    f"{self._accepted} messages of this call were enqueued before. Repeat the call with an idempotency "
                    "key for each recipient, so that these are not sent again."
                )
            raise

    def _put(self, batch: list[Entry], session: Session | None) -> None:
        ids = self.queue.put(self.lane, batch, content=(self.content.hash, self.content.encoded), session=session)
        for entry, message_id in zip(batch, ids, strict=True):
            self._accepted += message_id == entry.id
            self._ids._append(message_id)  # noqa: SLF001 - read-only for all other code
        self._report()

    def _report(self) -> None:
        if self.progress is not None:
            self.progress(self._rows, len(self._ids))


def _spool(step: Callable[[Any], object], argument: object) -> None:
    try:
        step(argument)
    except OSError as error:
        why = error.strerror or error
        raise Unwritable(
            f"The folder for temporary files ({_folder()}) takes no more of what send_many reads: {why}. Nothing was "
            'enqueued. Make room there, name another folder in TMPDIR, or pass on_invalid="skip", which needs no file'
        ) from error


def _folder() -> str:
    try:
        return tempfile.gettempdir()
    except OSError:
        return "there is none to write to"
