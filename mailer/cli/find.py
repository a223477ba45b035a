"""``mailer find``."""

from __future__ import annotations

from typing import Annotated

from rich.table import Table
from rich.text import Text
from typer import Argument, Option

from mailer.cli.account import open_redis
from mailer.cli.application import prints
from mailer.cli.console import fitting_console
from mailer.cli.moments import shown
from mailer.cli.options import Json
from mailer.cli.printed import echo, show_json
from mailer.cli.progress import counting
from mailer.cli.show import STATE_STYLES
from mailer.mail.address import parse
from mailer.operations.history import History, MessageHistory, histories_to


@prints(MessageHistory, each="message")
def find(
    to: Annotated[str, Argument(help="The recipient's address. Capitals make no difference.", metavar="ADDRESS")],
    limit: Annotated[int, Option(min=1, help="Show at most so many, the latest.")] = 50,
    as_json: Json = False,
) -> None:
    """Find the messages to an address, in the queue and in the records.

    It reads Redis and changes nothing. The record holds a digest of the address, not the address.
    """
    address = parse(to, "ADDRESS").address
    with open_redis() as (client, settings), counting("Searching the queue and the records") as progress:
        found = histories_to(client, settings, address, progress)
    latest, more = found[:limit], len(found) - limit
    if as_json:
        for history in latest:
            show_json(history.told)
        return
    if not latest:
        kept = f"of the last {settings.record_hours:g} hours" if settings.record_hours else "(none are kept)"
        echo(f"No message to {address}, neither in the queue nor in the records {kept}.", err=True)
        return
    fitting_console().print(_table(latest))
    echo("\nmailer show ID says more of one.", err=True)
    if more > 0:
        echo(f"{more:,} more: see them with --limit {len(found)}.", err=True)


def _table(histories: list[History]) -> Table:
    # With one space between columns, the usual lanes and the longest state fit into 80 columns.
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("last heard of", no_wrap=True, style="dim")
    table.add_column("id", no_wrap=True)
    table.add_column("lane", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for history in histories:
        at = shown(history.last_at) if history.last_at else ""
        table.add_row(
            at, history.id, history.lane or "", Text(history.state, style=STATE_STYLES.get(history.state, ""))
        )
    return table
