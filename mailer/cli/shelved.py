"""A message on a shelf for display: as a row, in full, and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mailer.cli.moments import shown
from mailer.cli.printed import plain
from mailer.document import When
from mailer.errors import InvalidMessage
from mailer.mail.message import Content
from mailer.mail.raw import Raw
from mailer.masking import mask_addresses
from mailer.queue.shelved import Reason, Shelved

NOUNS = {
    "dead": ("dead letter", "dead letters"),
    "held": ("held message", "held messages"),
    "scheduled": ("scheduled message", "scheduled messages"),
}
"""The noun in singular and plural."""

_WIDE = 130  # characters


@dataclass(frozen=True, slots=True)
class SetAside:
    """A dead letter, or a held or scheduled message. Addresses are masked without ``--reveal``.

    ``shelf`` is ``dead``, ``held`` or ``scheduled``. ``name`` is None, unless another message with the same ``id`` is
    there: then the commands know it by ``name``. ``at`` is when it was set aside, or when it is due. ``code`` and
    ``detail`` say why, in SES's words; both are empty for a scheduled message. ``bytes`` is its size in the queue.
    ``message`` are the mail's headers and the sizes of its parts, or ``error`` says why it cannot be rendered; ``list``
    does not look for them.
    """

    shelf: str
    id: str
    name: str | None
    lane: str
    at: When
    code: str
    detail: str
    to: str
    attempts: int
    expires_at: When | None
    bytes: int
    history: list[Reason]
    message: dict[str, str] | None = None
    error: str | None = None


FetchContent = Callable[[str], bytes | None]


def document(message: Shelved, *, reveal: bool, fetch_content: FetchContent | None = None) -> SetAside:
    """The message as `table` shows it; with ``fetch_content`` as `details` does."""

    def masked(text: str) -> str:
        return text if reveal else mask_addresses(text)

    message_id = message.id or message.readable_name
    found = SetAside(
        shelf=message.shelf,
        id=message_id,
        name=message.readable_name if message.readable_name != message_id else None,
        lane=message.lane,
        at=message.at,
        code=masked(message.code),
        detail=masked(message.detail),
        to=message.to if reveal else message.masked,
        attempts=message.attempts,
        expires_at=message.expires_at,
        bytes=len(message.envelope),
        history=[replace(each, detail=masked(each.detail)) for each in message.history],
    )
    if fetch_content is None:
        return found
    try:
        facts = _facts_of(message.message(fetch_content).content)
    except InvalidMessage as error:
        return replace(found, error=masked(str(error)))
    return replace(found, message={name: masked(value) for name, value in facts.items()})


def table(messages: Iterable[SetAside], shelf: str, *, width: int) -> Table:
    """A row for each message, of two lines if the terminal is too narrow for one, so that ids stay whole. Keeps no
    message.
    """
    rows = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    scheduled, wide = shelf == "scheduled", width >= _WIDE
    names = ("id", "due" if scheduled else "since", "lane", "to", "attempts" if scheduled else "why")
    for position, name in enumerate(
        names if wide else (f"{names[0]}, {names[3]}", f"{', '.join(names[1:3])}, {names[4]}")
    ):
        rows.add_column(name, no_wrap=position < (4 if wide else 1), overflow="fold")
    for each in messages:
        why = str(each.attempts or "") if scheduled else _words(each)
        own, at, lane, to, words = map(_text, (each.name or each.id, shown(each.at), each.lane, each.to, why))
        if wide:
            rows.add_row(own, at, lane, to, words)
        else:
            rows.add_row(Text("\n").join([own, to]), Text("\n").join([Text("  ").join([at, lane]), words]))
    return rows


def details(found: SetAside) -> RenderableType:
    """Everything about one message except its bodies."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    named = {
        "id": found.name or found.id,
        "lane": found.lane,
        "due" if found.shelf == "scheduled" else f"{found.shelf} since": shown(found.at),
        "why": _words(found),
        "attempts": str(found.attempts),
        "expires": shown(found.expires_at) if found.expires_at else "",
        "to": found.to,
        "message": f"cannot be rendered: {found.error}" if found.error else "",
        **(found.message or {}),
        "queued as": f"{found.bytes:,} bytes",
    }
    for name, value in named.items():
        if value:
            facts.add_row(name, _text(value))
    history = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", title="before it was requeued")
    for column in ("was", "since", "attempts", "why"):
        history.add_column(column, overflow="fold")
    for reason in found.history:
        history.add_row(*map(_text, (reason.shelf, shown(reason.at), str(reason.attempts), _words(reason))))
    history.title_justify = "left"
    return Group(facts, Text(), history) if found.history else facts


def _facts_of(mail: Content) -> dict[str, str]:
    if isinstance(mail, Raw):
        return (
            {"sender": mail.sender_address}
            | {f"{name}:": value for name, value in mail.headers}
            | {"size": f"raw {len(mail.data):,} bytes"}
        )
    sizes = {"text": mail.text, "html": mail.html}
    facts = {
        "sender": mail.sender,
        "subject": mail.subject,
        "reply to": ", ".join(mail.reply_to),
        **{f"{name}:": value for name, value in mail.headers},
        "configuration set": mail.configuration_set or "",
        "tags": ", ".join(f"{name}={value}" for name, value in mail.tags),
        "attachments": ", ".join(f"{each.filename} ({len(each.content):,} bytes)" for each in mail.attachments),
        "size": ", ".join(f"{name} {_bytes(body)}" for name, body in sizes.items() if body is not None),
    }
    return {name: value for name, value in facts.items() if value}


def _bytes(body: str) -> str:
    size = len(body.encode())
    return f"{size:,} {'byte' if size == 1 else 'bytes'}"


def _words(why: SetAside | Reason) -> str:
    return f"{why.code}: {why.detail}" if why.detail else why.code


def _text(value: str) -> Text:
    """The value as it is, without anything that a terminal would obey."""
    return Text(plain(value.replace("\n", "\N{REPLACEMENT CHARACTER}")))
