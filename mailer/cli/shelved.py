"""A message on a shelf for display: as a row, in full, and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mailer.cli.moments import shown
from mailer.cli.printed import plain
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

FetchContent = Callable[[str], bytes | None]


def table(messages: Iterable[Shelved], *, scheduled: bool, reveal: bool, width: int) -> Table:
    """A row for each message, of two lines if the terminal is too narrow for one, so that ids stay whole. Keeps no
    message.
    """
    rows = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    names = ("id", "due" if scheduled else "since", "lane", "to", "attempts" if scheduled else "why")
    wide = width >= _WIDE
    for position, name in enumerate(
        names if wide else (f"{names[0]}, {names[3]}", f"{', '.join(names[1:3])}, {names[4]}")
    ):
        rows.add_column(name, no_wrap=position < (4 if wide else 1), overflow="fold")
    for message in messages:
        why = str(message.attempts or "") if scheduled else _words(message, reveal=reveal)
        cells = (message.name, shown(message.at), message.lane, _to(message, reveal=reveal), why)
        own, at, lane, to, words = map(_text, cells)
        if wide:
            rows.add_row(own, at, lane, to, words)
        else:
            rows.add_row(Text("\n").join([own, to]), Text("\n").join([Text("  ").join([at, lane]), words]))
    return rows


def details(message: Shelved, fetch_content: FetchContent, *, reveal: bool) -> RenderableType:
    """Everything about one message except its bodies."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")

    def row(name: str, value: str) -> None:
        if value:
            facts.add_row(name, _text(value))

    row("id", message.name)
    row("lane", message.lane)
    row("due" if message.shelf == "scheduled" else f"{message.shelf} since", shown(message.at))
    row("why", _words(message, reveal=reveal))
    row("attempts", str(message.attempts))
    row("expires", shown(message.expires_at) if message.expires_at else "")
    row("to", _to(message, reveal=reveal))
    try:
        mail = message.message(fetch_content)
    except InvalidMessage as error:
        row("message", f"cannot be rendered: {_masked(str(error), reveal=reveal)}")
    else:
        for name, value in _facts_of(mail.content).items():
            row(name, _masked(value, reveal=reveal))
    row("queued as", f"{len(message.envelope):,} bytes")
    history = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", title="before it was requeued")
    for column in ("was", "since", "attempts", "why"):
        history.add_column(column, overflow="fold")
    for reason in message.history:
        cells = (reason.shelf, shown(reason.at), str(reason.attempts), _words(reason, reveal=reveal))
        history.add_row(*(_text(cell) for cell in cells))
    history.title_justify = "left"
    return Group(facts, Text(), history) if message.history else facts


def as_json(message: Shelved, *, reveal: bool, fetch_content: FetchContent | None = None) -> dict[str, Any]:
    """The facts that `table` shows; with ``fetch_content`` those of `details`."""
    found: dict[str, Any] = {
        "shelf": message.shelf,
        "name": message.readable_name,
        "id": message.id,
        "lane": message.lane,
        "at": message.at.isoformat(),
        "code": message.code,
        "detail": _masked(message.detail, reveal=reveal),
        "to": _to(message, reveal=reveal),
        "attempts": message.attempts,
        "expires_at": message.expires_at.isoformat() if message.expires_at else None,
        "history": [
            {
                "shelf": reason.shelf,
                "at": reason.at.isoformat(),
                "code": reason.code,
                "detail": _masked(reason.detail, reveal=reveal),
                "attempts": reason.attempts,
            }
            for reason in message.history
        ],
    }
    if fetch_content is not None:
        try:
            facts: dict[str, str] | None = _facts_of(message.message(fetch_content).content)
        except InvalidMessage:
            facts = None
        found["message"] = facts and {name: _masked(value, reveal=reveal) for name, value in facts.items()}
    return found


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


def _words(reason: Shelved | Reason, *, reveal: bool) -> str:
    return _masked(f"{reason.code}: {reason.detail}" if reason.detail else reason.code, reveal=reveal)


def _to(message: Shelved, *, reveal: bool) -> str:
    return message.to if reveal else message.masked


def _masked(text: str, *, reveal: bool) -> str:
    return text if reveal else mask_addresses(text)


def _text(value: str) -> Text:
    """The value as it is, without anything that a terminal would obey."""
    return Text(plain(value.replace("\n", "\N{REPLACEMENT CHARACTER}")))
