"""``mailer pause``."""

from __future__ import annotations

from typing import Annotated

import typer

from mailer.cli import moments
from mailer.cli.account import open_redis, who
from mailer.cli.application import new_app
from mailer.queue import pause as pausing
from mailer.queue.keys import Keys

app = new_app()


@app.command("pause")
def pause(
    reason: Annotated[str, typer.Option(help="Why: `mailer status` and the workers' logs show it.")],
    lane: Annotated[str | None, typer.Option(help="Only this lane.", show_default=False)] = None,
    until: Annotated[
        str | None,
        typer.Option(
            help="When it ends by itself: 30m, 2h, 18:30, or 2030-01-31T09:00+01:00. (default: never)",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Stop sending: the whole account, or one lane.

    Sends in progress still go out. The pause holds for the workers on every host, and over restarts, until
    `mailer resume` or the given time. Messages can be enqueued meanwhile.
    """
    with open_redis() as (client, settings):
        ends = pausing.pause(
            client,
            Keys.of(settings),
            reason=reason,
            lane=None if lane is None else settings.lanes.check(lane),
            until=None if until is None else moments.ahead("--until", until),
            by=who(),
        )
    what = f"Account {settings.account}" if lane is None else f"Lane {lane} of account {settings.account}"
    typer.echo(f"{what} is paused" + (f" until {moments.shown(ends)}." if ends else "."))
