"""``mailer resume``."""

from __future__ import annotations

from typing import Annotated

import typer

from mailer.cli.account import open_redis
from mailer.cli.application import new_app
from mailer.operations.status import read_status
from mailer.queue import pause as pausing
from mailer.queue.keys import Keys

app = new_app()


@app.command("resume")
def resume(lane: Annotated[str | None, typer.Option(help="Only this lane.", show_default=False)] = None) -> None:
    """Send again what was paused, and try again what SES has stopped.

    The whole account: paused by a person, stopped by SES, or parked because others have used up the quota. A lane that
    was paused by itself stays so: resume it with --lane.
    """
    with open_redis() as (client, settings):
        checked = None if lane is None else settings.lanes.check(lane)
        changed = pausing.resume(client, Keys.of(settings), settings.lanes, lane=checked)
        waiting = [one.name for one in read_status(client, settings).lanes if one.paused] if lane is None else []
    what = f"Account {settings.account}" if lane is None else f"Lane {lane} of account {settings.account}"
    typer.echo(f"{what} {'sends again' if changed else 'was not stopped'}.")
    for name in waiting:
        typer.echo(f"Lane {name} stays paused: mailer resume --lane {name}")
