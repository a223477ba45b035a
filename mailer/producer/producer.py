"""The producer: `send`, `send_raw` and `send_many`. Each returns once the messages are in Redis."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, TypedDict, Unpack, cast, overload

from mailer.errors import InvalidMessage
from mailer.mail.address import Address, parse
from mailer.mail.attachment import Attachment
from mailer.mail.content import Structured
from mailer.mail.fields import check_names
from mailer.mail.header import kind
from mailer.mail.json_text import to_json
from mailer.mail.message import Content
from mailer.mail.message_id import new_base, numbered
from mailer.mail.raw import Raw
from mailer.mail.recipient import Recipient, check_key, digest_of, variables_json
from mailer.producer.send_many import Bulk, OnInvalidRow, Progress, SendManyResult
from mailer.producer.timing import timing
from mailer.queue.envelope import Envelope
from mailer.queue.payload import check_values, inline
from mailer.queue.queue import Entry, Queue
from mailer.rules import Lanes
from mailer.settings import Settings, load

MAX_RECIPIENTS = 1000
"""The most recipients of one `send`, as it enqueues them in one round trip."""

INLINE_BYTES = 2048
"""Below this size a single message's content travels in its envelope. A larger one is stored once beside the queue."""


class Extras(TypedDict, total=False):
    """The parts of a message besides sender, subject and body."""

    reply_to: str | Sequence[str]
    """The addresses for answers."""
    headers: Mapping[str, str]
    """Further headers: at most 15, including those of ``list_unsubscribe``. Values that are not ASCII are encoded."""
    attachments: Sequence[Attachment]
    """Files. The whole mail may have 40 MB in base64."""
    configuration_set: str | None
    """The name of an SES configuration set."""
    tags: Mapping[str, str]
    """SES message tags, for SES's events. Names and values consist of A-Z a-z 0-9 _ -."""
    list_unsubscribe: str | Sequence[str] | None
    """An ``https:`` URL that takes a POST (RFC 8058), a ``mailto:`` URL, or one of each."""


class Options(TypedDict, total=False):
    """The handling of a message in the queue. ``lane`` is one of the account's. `Producer.send` tells of the others."""

    lane: str | None
    send_at: datetime | None
    expires_at: datetime | None
    idempotency_key: str | None
    durable: bool


class SendOptions(Extras, Options):
    """The further arguments of `send`."""


class _Order(NamedTuple):
    """Checked `Options`. The times are unchecked, as only Redis's clock can check them. ``extras`` are all others."""

    lane: str
    send_at: datetime | None
    expires_at: datetime | None
    key: str | None
    durable: bool
    extras: dict[str, Any]


class Producer:
    """Puts messages into one account's queue. Thread-safe. Use it as a context manager or `close` it.

    ``lanes`` are the account's lanes, most urgent first. By default `send` uses the first and `send_many` the last.
    """

    def __init__(self, queue: Queue, lanes: Sequence[str] = ("transactional", "bulk")) -> None:
        self.queue = queue
        self.lanes = Lanes(lanes)

    @classmethod
    def of(cls, settings: Settings) -> Producer:
        """A producer for the account of these settings. A process may have several, for several accounts."""
        return cls(Queue.of(settings), settings.lanes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
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
        """Enqueue one message to ``to``, or one to each of a list of at most 1,000. Return its id, or a list of ids.

        All or none are enqueued, in one round trip (two with ``send_at`` or ``expires_at``). With ``variables``,
        ``subject``, ``text``, ``html``, header values and ``list_unsubscribe`` are templates, and this call renders
        them. Without ``variables`` they are sent unchanged.

        ``send_at`` and ``expires_at`` are aware datetimes, compared with Redis's clock. The message is not sent before
        ``send_at``, and not at all if its turn comes after ``expires_at``. If a recipient had a message under the same
        ``idempotency_key`` within 24 hours, no message is enqueued, and the earlier message's id is returned.

        With ``durable`` the call returns once Redis has the messages on its disk and each connected replica has them in
        memory. Then they survive a power cut of Redis's machine, and a failover after its loss. With ``appendfsync
        everysec`` this takes up to a second or two.

        Raises InvalidMessage: nothing was enqueued. Raises QueueUnavailable: its ``enqueued`` says whether messages may
        have been enqueued, and with an ``idempotency_key`` repeating the call is safe. With ``durable``, raises
        NotOnDisk.
        """
        order = self._order(**options)
        check_names(order.extras)
        recipients = _recipients(to, "to")
        content = Structured.of(
            sender=sender, subject=subject, text=text, html=html, templates=variables is not None, **order.extras
        )
        if variables is not None:
            # Through JSON, as in `send_many`: Python's subclasses of text and numbers may render differently.
            content = content.render(json.loads(variables_json(variables)))

        fields = inline("", content)
        if len(to_json("message", fields)) >= INLINE_BYTES:
            check_values(content.encoded)
            fields = {}
        ids = self._put(order, recipients, content, fields)
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
        """Enqueue a complete MIME mail to each of at most 1,000 ``recipients``. Return its id, or a list of ids.

        ``recipients`` are the envelope's recipients. ``To`` and ``Cc`` stay as written. Each recipient gets a separate
        mail with the bytes of ``raw``, except for two headers: ``Bcc`` is removed, and the message's id is added to
        ``X-SES-MESSAGE-TAGS``. Other ``X-SES-`` headers have SES's meaning.

        ``sender`` is the envelope's sender; the default is the address in ``Sender`` or ``From``. ``tags`` and
        ``configuration_set`` replace the corresponding headers. All else is as for `send`, including the errors.
        InvalidMessage names the part of ``raw`` that SES refuses: no ``From``, headers that are broken or not ASCII, a
        NUL, a CR without LF, a line of more than 998 bytes, more than 40 MB.
        """
        order = self._order(**options)
        if order.extras:
            raise TypeError(f"send_raw() got an unexpected keyword argument {next(iter(order.extras))!r}")
        to = _recipients(recipients, "recipients")
        content = Raw.of(raw, sender=sender, tags=tags, configuration_set=configuration_set)
        ids = self._put(order, to, content, {})
        return ids[0] if isinstance(recipients, str) else ids

    def _put(
        self, order: _Order, recipients: Sequence[Address], content: Content, fields: Mapping[str, Any]
    ) -> list[str]:
        """Enqueue a message for each of ``recipients``, all or none. Return the ids. For a duplicate that is the
        earlier message's id. The envelopes carry the content's ``fields``, or without them refer to what is stored."""
        when = timing(order.send_at, order.expires_at, self.queue.now)
        envelope = Envelope(order.lane, content_hash="" if fields else content.hash, eta=when.eta, expires=when.expires)
        base, entries = new_base(), []
        for number, to in enumerate(recipients):
            message_id = numbered(base, number)
            digest = digest_of(order.key, to) if order.key else ""
            if fields:
                written = envelope.inline(message_id, {**fields, "to": to.header}, to.masked, digest)
            else:
                written = envelope.by_reference(message_id, to.header, to.masked, "{}", digest)
            entries.append(Entry(id=message_id, envelope=written, due_us=when.due_us, idempotency=digest))
        stored = None if fields else (content.hash, content.encoded)
        with self.queue.session() as session:
            if order.durable:
                self.queue.check_durable(session)
            ids = self.queue.put(order.lane, entries, content=stored, session=session)
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
        """Enqueue one message to each of ``recipients``, an iterable of any length, in constant memory.

        ``subject``, ``text``, ``html``, header values and ``list_unsubscribe`` are templates. Each recipient's
        ``variables`` fill them, escaped for HTML in ``html``. Redis stores the templates once, until the last message
        is settled.

        ``on_invalid="raise"`` reads and checks all recipients first (beyond 16 MB in a temporary file). One bad row
        raises InvalidMessage with its ``row``, and nothing is enqueued. ``"skip"`` enqueues while it reads, and passes
        the InvalidMessage of each bad row to ``on_invalid_row``.

        ``progress(rows read, messages enqueued)`` is called every few hundred rows and at the end. ``durable`` is as
        for `send`; the call waits once, at the end. Raises QueueUnavailable if Redis fails midway. Messages that were
        enqueued before stay, and a note on the error gives their number. Raises NotOnDisk. Raises Unwritable where the
        temporary file cannot be written; then nothing was enqueued.
        """
        _check_flag("durable", durable)
        check_names(extras)
        if on_invalid not in ("raise", "skip"):
            raise InvalidMessage("on_invalid", "is neither of two words", 'Pass "raise" or "skip"')
        if isinstance(recipients, str | bytes | Mapping) or not isinstance(recipients, Iterable):
            raise InvalidMessage("recipients", f"is {kind(recipients)}", "Pass an iterable of mailer.Recipient")
        content = Structured.of(sender=sender, subject=subject, text=text, html=html, templates=True, **extras)
        check_values(content.encoded)
        bulk = Bulk(
            self.queue,
            self.lanes.least_urgent if lane is None else self.lanes.check(lane),
            content,
            timing(send_at, expires_at, self.queue.now),
            progress,
            durable,
        )
        if on_invalid == "skip":
            return bulk.skipping(recipients, on_invalid_row)
        return bulk.all_or_none(recipients)

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
    if isinstance(to, str):
        return [parse(to, field)]
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
    """Have `mailer.send` and the other functions use these settings. Return the producer that they use.

    The names are those of `mailer.settings.Settings`. The environment gives all other settings. Without this call it
    gives all of them. Raises SettingsError with the setting to correct.
    """
    global _default  # noqa: PLW0603 - one per process, as the functions are
    _default = Producer.of(load(**settings))
    return _default


def default() -> Producer:
    """The producer of `mailer.send` and the other functions. Raises SettingsError with the setting to correct."""
    return _default or configure()


def _of_default(method: Callable[..., Any]) -> Callable[..., Any]:
    """A function that calls ``method`` on the default producer."""

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
