"""The producer: `send`, `send_raw` and `send_many`, which return once the messages are safe in Redis."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import wraps
from inspect import signature
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, TypedDict, Unpack, cast, overload

from mailer.errors import InvalidMessage
from mailer.mail.address import Address, parse
from mailer.mail.attachment import Attachment
from mailer.mail.content import Structured
from mailer.mail.header import kind
from mailer.mail.json_text import to_json
from mailer.mail.message import Content
from mailer.mail.message_id import new_base, numbered
from mailer.mail.raw import Raw
from mailer.mail.recipient import Recipient, check_key, digest_of, variables_json
from mailer.producer.send_many import Bulk, OnInvalidRow, Progress, SendManyResult
from mailer.producer.timing import NONE, Timing, timing
from mailer.queue.envelope import Envelope
from mailer.queue.payload import inline
from mailer.queue.queue import Entry, Queue
from mailer.rules import Lanes
from mailer.settings import Settings, load

MAX_RECIPIENTS = 1000
"""Recipients of one `send`, which enqueues them in one round trip."""

INLINE_BYTES = 2048
"""A single message below this size travels whole in the queue; a larger one is stored once beside it."""


class Extras(TypedDict, total=False):
    """What a message may have besides sender, subject and body."""

    reply_to: str | Sequence[str]
    """Where answers go."""
    headers: Mapping[str, str]
    """Further headers, at most 15 with those of ``list_unsubscribe``. Values that are not ASCII are encoded."""
    attachments: Sequence[Attachment]
    """Files; the whole mail may have 40 MB in base64."""
    configuration_set: str | None
    """The name of an SES configuration set."""
    tags: Mapping[str, str]
    """SES message tags, for its events: names and values of A-Z a-z 0-9 _ -."""
    list_unsubscribe: str | Sequence[str] | None
    """An ``https:`` URL that takes a POST (RFC 8058), a ``mailto:`` URL, or one of each."""


class Options(TypedDict, total=False):
    """What becomes of a message in the queue."""

    lane: str | None
    """One of the account's lanes."""
    send_at: datetime | None
    """Aware: it is sent no earlier."""
    expires_at: datetime | None
    """Aware: it is not sent at all if its turn comes later."""
    idempotency_key: str | None
    """Under one key a recipient is sent one message in 24 hours."""
    durable: bool
    """Whether Redis has it on its disk, and each replica in memory, before the call returns."""


class SendOptions(Extras, Options):
    """What `send` takes besides."""


class _Order(NamedTuple):
    """Checked `Options`, but for the times, which only Redis can check; ``extras`` are the others."""

    lane: str
    send_at: datetime | None
    expires_at: datetime | None
    key: str | None
    durable: bool
    extras: dict[str, Any]


class Producer:
    """Puts messages into one account's queue. Thread-safe; use it as a context manager or `close` it.

    ``lanes`` are the account's lanes, most urgent first: `send` uses the first by default and `send_many` the last.
    """

    def __init__(self, queue: Queue, lanes: Sequence[str] = ("transactional", "bulk")) -> None:
        self.queue = queue
        self.lanes = Lanes(lanes)

    @classmethod
    def of(cls, settings: Settings) -> Producer:
        """One of the account of these settings. A process may have several, of several accounts."""
        return cls(Queue.of(settings), settings.lanes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to Redis."""
        self.queue.client.close()

    @overload
    def send(
        self,
        *,
        to: str,
        sender: str,
        subject: str,
        text: str | None = None,
        html: str | None = None,
        variables: Mapping[str, object] | None = None,
        **options: Unpack[SendOptions],
    ) -> str: ...
    @overload
    def send(
        self,
        *,
        to: list[str] | tuple[str, ...],
        sender: str,
        subject: str,
        text: str | None = None,
        html: str | None = None,
        variables: Mapping[str, object] | None = None,
        **options: Unpack[SendOptions],
    ) -> list[str]: ...
    def send(
        self,
        *,
        to: str | list[str] | tuple[str, ...],
        sender: str,
        subject: str,
        text: str | None = None,
        html: str | None = None,
        variables: Mapping[str, object] | None = None,
        **options: Unpack[SendOptions],
    ) -> str | list[str]:
        """Enqueue one message to ``to``, or one to each of a list of at most 1,000; return its id, or theirs.

        All or none are enqueued, in one round trip (with ``send_at`` or ``expires_at``, two). With ``variables``,
        ``subject``, ``text``, ``html``, header values and ``list_unsubscribe`` are templates, rendered here; without,
        they are sent as they are.

        ``send_at`` and ``expires_at`` are aware datetimes: it is sent no earlier, and not at all if its turn comes
        later, both by Redis's clock. With an ``idempotency_key``, a recipient who had a message under the same key
        within 24 hours gets none, and the earlier message's id is returned.

        With ``durable`` it returns once Redis has the messages on its disk, not only in memory (with its ``appendfsync
        everysec`` that takes up to a second or two), and each of the replicas that follow it has them in memory: they
        survive a power cut of that machine, and the failover that loses it.

        Raises InvalidMessage (nothing was enqueued), QueueUnavailable (whose ``enqueued`` says whether anything may
        have been; with an ``idempotency_key`` repeating the call is safe) and, with ``durable``, NotOnDisk.
        """
        order = self._order(**options)
        recipients = [parse(to)] if isinstance(to, str) else _recipients(to, "to")
        when = self._timing(order.send_at, order.expires_at)
        content = Structured.of(
            sender=sender, subject=subject, text=text, html=html, templates=variables is not None, **order.extras
        )
        if variables is not None:
            # As `send_many` renders the same variables: Python's own kinds of text and numbers may render otherwise.
            content = content.render(json.loads(variables_json(variables)))

        fields = inline("", content)
        stored = len(to_json("message", fields)) >= INLINE_BYTES
        envelope = Envelope(order.lane, content_hash=content.hash if stored else "", eta=when.eta, expires=when.expires)

        def written(message_id: str, recipient: Address, digest: str) -> bytes:
            if stored:
                return envelope.by_reference(message_id, recipient.header, recipient.masked, "{}", digest)
            return envelope.inline(message_id, fields | {"to": recipient.header}, recipient.masked, digest)

        ids = self._put(order, recipients, written, when.due_us, content if stored else None)
        return ids[0] if isinstance(to, str) else ids

    @overload
    def send_raw(
        self,
        raw: bytes,
        *,
        recipients: str,
        sender: str | None = None,
        tags: Mapping[str, str] | None = None,
        configuration_set: str | None = None,
        **options: Unpack[Options],
    ) -> str: ...
    @overload
    def send_raw(
        self,
        raw: bytes,
        *,
        recipients: list[str] | tuple[str, ...],
        sender: str | None = None,
        tags: Mapping[str, str] | None = None,
        configuration_set: str | None = None,
        **options: Unpack[Options],
    ) -> list[str]: ...
    def send_raw(
        self,
        raw: bytes,
        *,
        recipients: str | list[str] | tuple[str, ...],
        sender: str | None = None,
        tags: Mapping[str, str] | None = None,
        configuration_set: str | None = None,
        **options: Unpack[Options],
    ) -> str | list[str]:
        """Enqueue a mail in MIME, headers and all, to each of at most 1,000 ``recipients``; return its id, or theirs.

        The recipients are the envelope's: ``To`` and ``Cc`` are shown as they are written. Each gets a mail of their
        own, with the bytes of ``raw`` but for two headers: ``Bcc`` is removed, and the message's id is added to the
        tags of ``X-SES-MESSAGE-TAGS``. Other ``X-SES-`` headers mean what they mean to SES.

        ``sender`` is the envelope's, by default the address in ``Sender`` or ``From``. ``tags`` and
        ``configuration_set`` replace the headers that say the same. All else is as for `send`, also what it raises.
        InvalidMessage names what SES does not take of ``raw``: no ``From``, headers that are broken or not ASCII, a
        NUL, a CR without LF, a line of more than 998 bytes, more than 40 MB.
        """
        order = self._order(**options)
        if order.extras:
            raise TypeError(f"send_raw() got an unexpected keyword argument {next(iter(order.extras))!r}")
        to = [parse(recipients, "recipients")] if isinstance(recipients, str) else _recipients(recipients, "recipients")
        when = self._timing(order.send_at, order.expires_at)
        content = Raw.of(raw, sender=sender, tags=tags, configuration_set=configuration_set)
        envelope = Envelope(order.lane, content_hash=content.hash, eta=when.eta, expires=when.expires)

        def written(message_id: str, recipient: Address, digest: str) -> bytes:
            return envelope.by_reference(message_id, recipient.header, recipient.masked, "{}", digest)

        ids = self._put(order, to, written, when.due_us, content)
        return ids[0] if isinstance(recipients, str) else ids

    def _put(
        self,
        order: _Order,
        recipients: Sequence[Address],
        written: Callable[[str, Address, str], bytes],
        due_us: int,
        stored: Content | None,
    ) -> list[str]:
        """Enqueue what ``written`` makes for each of ``recipients``, all or none; their ids in force."""
        base = new_base()
        entries = [
            Entry(
                id=(message_id := numbered(base, number)),
                envelope=written(message_id, recipient, digest),
                due_us=due_us,
                idempotency=digest,
            )
            for number, recipient in enumerate(recipients)
            for digest in (digest_of(order.key, recipient) if order.key else "",)
        ]
        shared = None if stored is None else (stored.hash, stored.encoded)
        with self.queue.session() as session:
            if order.durable:
                self.queue.check_durable(session)
            ids = self.queue.put(order.lane, entries, content=shared, session=session)
            if order.durable:
                self.queue.until_durable(session, ids)
        return ids

    def send_many(
        self,
        recipients: Iterable[Recipient | Mapping[str, object] | str],
        *,
        sender: str,
        subject: str,
        text: str | None = None,
        html: str | None = None,
        lane: str | None = None,
        send_at: datetime | None = None,
        expires_at: datetime | None = None,
        on_invalid: Literal["raise", "skip"] = "raise",
        on_invalid_row: OnInvalidRow | None = None,
        progress: Progress | None = None,
        durable: bool = False,
        **extras: Unpack[Extras],
    ) -> SendManyResult:
        """Enqueue one message to each of ``recipients``: any iterable, of any length, in constant memory.

        ``subject``, ``text``, ``html``, header values and ``list_unsubscribe`` are templates, ``html`` escaped
        for HTML; each recipient's ``variables`` fill them. They are stored in Redis once, until the last message is
        settled.

        ``on_invalid="raise"`` reads and checks all recipients first (in a temporary file beyond 16 MB): one bad row
        raises InvalidMessage with its ``row``, and nothing is enqueued. ``"skip"`` enqueues while it reads and hands
        the InvalidMessage of each bad row to ``on_invalid_row``.

        ``progress(rows read, messages enqueued)`` is called every few hundred rows and at the end. ``durable`` is as
        for `send`, for all of them together at the end. Raises QueueUnavailable if Redis fails midway; what was
        enqueued before stays, and a note on the error says how much. Raises NotOnDisk, and Unwritable where the
        temporary file cannot be written: then nothing was enqueued.
        """
        _check_flag("durable", durable)
        if on_invalid not in ("raise", "skip"):
            raise InvalidMessage("on_invalid", "is neither of two words", 'Pass "raise" or "skip"')
        if isinstance(recipients, str | bytes | Mapping) or not isinstance(recipients, Iterable):
            raise InvalidMessage("recipients", f"is {kind(recipients)}", "Pass an iterable of mailer.Recipient")
        bulk = Bulk(
            self.queue,
            self.lanes.least_urgent if lane is None else self.lanes.check(lane),
            Structured.of(sender=sender, subject=subject, text=text, html=html, templates=True, **extras),
            self._timing(send_at, expires_at),
            progress,
            durable=durable,
        )
        if on_invalid == "skip":
            return bulk.skipping(recipients, on_invalid_row)
        return bulk.all_or_none(recipients)

    def _timing(self, send_at: datetime | None, expires_at: datetime | None) -> Timing:
        if send_at is None and expires_at is None:
            return NONE
        return timing(send_at, expires_at, self.queue.now())

    def _order(
        self,
        *,
        lane: str | None = None,
        send_at: datetime | None = None,
        expires_at: datetime | None = None,
        idempotency_key: str | None = None,
        durable: bool = False,
        **extras: Any,
    ) -> _Order:
        _check_flag("durable", durable)
        lane = self.lanes.most_urgent if lane is None else self.lanes.check(lane)
        return _Order(lane, send_at, expires_at, check_key(idempotency_key), durable, extras)


def _check_flag(field: str, value: object) -> None:
    if not isinstance(value, bool):
        raise InvalidMessage(field, f"is {kind(value)}", "Pass True or False")


def _recipients(to: object, field: str) -> list[Address]:
    if not isinstance(to, list | tuple):
        raise InvalidMessage(field, f"is {kind(to)}", "Pass an address or a list of them")
    if not 0 < len(to) <= MAX_RECIPIENTS:
        more = "; send_many takes any number" if field == "to" else " at a time"
        raise InvalidMessage(field, f"has {len(to)} recipients", f"Pass 1 to {MAX_RECIPIENTS}{more}")
    seen: dict[str, int] = {}
    recipients = [parse(text, f"{field}[{position}]") for position, text in enumerate(to)]
    for position, recipient in enumerate(recipients):
        first = seen.setdefault(recipient.address, position)
        if first != position:
            raise InvalidMessage(f"{field}[{position}]", f"is the address of {field}[{first}] again", "Remove it")
    return recipients


_default: Producer | None = None


def configure(**settings: Any) -> Producer:
    """Have `mailer.send` and its like use these settings, by their names in `mailer.settings.Settings`, and those of
    the environment for the rest; returns the producer that they use.

    Without it they use the environment's. Raises SettingsError that says what to set.
    """
    global _default  # noqa: PLW0603 - one per process, as the functions are
    _default = Producer.of(load(**settings))
    return _default


def default() -> Producer:
    """The producer that `mailer.send` and its like use. Raises SettingsError that says what to set."""
    return _default or configure()


def _of_default(method: Callable[..., Any]) -> Callable[..., Any]:
    """``method`` of the default producer, as a function."""

    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        return method(default(), *args, **kwargs)

    shown = signature(method)
    call.__signature__ = shown.replace(parameters=list(shown.parameters.values())[1:])  # type: ignore[attr-defined]
    return call


if TYPE_CHECKING:
    _typed = cast("Producer", None)
    send = _typed.send
    send_raw = _typed.send_raw
    send_many = _typed.send_many
else:
    send = _of_default(Producer.send)
    send_raw = _of_default(Producer.send_raw)
    send_many = _of_default(Producer.send_many)
