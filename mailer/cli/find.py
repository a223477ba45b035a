"""``mailer find``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from mailer.cli.account import open_redis
from mailer.cli.application import new_app
from mailer.cli.console import PlainConsole
from mailer.cli.moments import shown
from mailer.cli.printed import json_line
from mailer.cli.progress import counting
from mailer.cli.show import STATE_STYLES
from mailer.mail.address import parse
from mailer.operations.history import History, histories_to

app = new_app()


@app.command("find")
def find(
    to: Annotated[str, typer.Option(help="The recipient's address. Capitals make no difference.", metavar="ADDRESS")],
    limit: Annotated[int, typer.Option(min=1, help="Show at most so many, the latest.")] = 50,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="One line of JSON for each message; mailer.operations.history says what is in it."),
    ] = False,
) -> None:
    """Find the messages to an address: those in the queue, and those that there is a record of.

    It reads Redis and changes nothing. The record holds a digest of the address, not the address.
    """
    address = parse(to, "--to").address
    with open_redis() as (client, settings), counting("Searching the queue and the records") as progress:
        found = histories_to(client, settings, address, progress)
    latest, more = found[:limit], len(found) - limit
    if as_json:
        for history in latest:
            typer.echo(json_line(history.to_json()))
        return
    if not latest:
        kept = f"of the last {settings.record_hours:g} hours" if settings.record_hours else "(none are kept)"
        typer.echo(f"No message to {address}, neither in the queue nor in the records {kept}.")
        return
    console = PlainConsole()
    # A file or a pipe has no width. Do not cut anything off for it.
    console = console if console.is_terminal else PlainConsole(width=max(console.width, 400))
    console.print(_table(latest))
    typer.echo("\nmailer show MESSAGE says more of one.")
    if more > 0:
        typer.echo(f"{more:,} more: see them with --limit {len(found)}.")


def _table(histories: list[History]) -> Table:
    # With one space between columns, the usual lanes and the longest state fit into 80 columns.
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("last heard of", no_wrap=True, style="dim")
    table.add_column("message", no_wrap=True)
    table.add_column("lane", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for history in histories:
        at = shown(history.last_at) if history.last_at else ""
        table.add_row(
            at, history.id, history.lane or "", Text(history.state, style=STATE_STYLES.get(history.state, ""))
        )
    return table
