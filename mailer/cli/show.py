"""``mailer show``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from typer import Argument

from mailer.cli.account import open_redis
from mailer.cli.application import prints
from mailer.cli.console import PlainConsole
from mailer.cli.moments import shown
from mailer.cli.options import Json
from mailer.cli.printed import echo, show_json
from mailer.cli.progress import counting
from mailer.operations.history import Event, History, MessageHistory, history_of
from mailer.queue.settlement import VERBS

STATE_STYLES = {"sent": "green", "dead": "bold red", "held": "yellow", "unknown": "yellow"}


@prints(MessageHistory)
def show(
    message_id: Annotated[str, Argument(metavar="ID", help="As `mailer send` printed it, or mailer.send returned it.")],
    as_json: Json = False,
) -> None:
    """Show what became of one message, and where it is.

    It shows each attempt with SES's answer. It reads Redis and changes nothing. Records are kept for
    MAILER_RECORD_HOURS, in at most MAILER_RECORD_MEGABYTES.
    """
    with open_redis() as (client, settings), counting("Searching the queue") as progress:
        found = history_of(client, settings, message_id, progress)
    if found is None:
        kept = f"for {settings.record_hours:g} hours at most" if settings.record_hours else "not at all"
        echo(
            f"mailer: {message_id} is not in the queue of account {settings.account}, and there is no record of it. "
            f"Records are kept {kept} (MAILER_RECORD_HOURS)",
            err=True,
        )
        raise typer.Exit(1)
    if as_json:
        show_json(found.told)
    else:
        PlainConsole().print(screen(found))


def _state_in_words(history: History) -> Text:
    """The state, and its begin or end."""
    text = Text(history.state, style=STATE_STYLES.get(history.state, ""))
    found = history.found
    more = ""
    if history.state == "unknown":
        more = ": it moved while it was looked for, or the end of its record is gone. Ask again"
    elif found is None:
        more = f" ({history.lines[-1].code})" if history.lines[-1].code else ""
    elif found.place == "leased":
        more = " to a worker" + (f" until {shown(found.at)}" if found.at else "")
    elif found.place == "scheduled" and found.at:
        more = f" for {shown(found.at)}"
    elif found.code:
        more = f": {found.code}"
    return text.append(more, style="default")


def screen(history: History) -> RenderableType:
    """The history for a person."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("message", history.id)
    if history.found and history.found.masked:
        facts.add_row("to", history.found.masked)
    facts.add_row("lane", history.lane or "not known")
    facts.add_row("now", _state_in_words(history))
    if history.found and history.words:
        facts.add_row("", history.words)
    # An id has a line of its own, so that 80 columns hold it whole.
    for ses_id in dict.fromkeys(line.ses_id for line in history.lines if line.ses_id):
        facts.add_row("SES id", ses_id)

    events = Table.grid(padding=(0, 2))
    events.add_column(style="dim", no_wrap=True)
    events.add_column(overflow="fold")
    for event in history.events:
        events.add_row(shown(event.at, milliseconds=True), _told(event))
    if not history.lines:
        events.add_row("", Text("No worker has settled it yet, or its record is over.", style="dim"))
    return Group(facts, Text(), events)


def _told(event: Event) -> Text:
    attempt = f"attempt {event.attempt}: " if event.attempt else ""
    words = VERBS[event.what].words if event.what in VERBS else event.what
    text = Text(f"{attempt}{words}")
    if event.what == "sent":
        text.append("" if event.answer else ", as a person says")
    elif event.answer:
        text.append(f" ({event.answer}" + (f": {event.words})" if event.words else ")"), style="dim")
    return text
