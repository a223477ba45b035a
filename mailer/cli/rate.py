"""``mailer rate``."""

from __future__ import annotations

from typing import Annotated

import typer

from mailer.cli import moments
from mailer.cli.account import open_redis, who
from mailer.cli.application import new_app
from mailer.cli.printed import echo
from mailer.cli.status import rate_line
from mailer.errors import InvalidRequest
from mailer.operations.status import read_status
from mailer.queue import limits
from mailer.queue.keys import Keys

app = new_app()


@app.command("rate")
def rate(
    per_second: Annotated[
        float | None, typer.Argument(help="Recipients per second, of all hosts together.", show_default=False)
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            help="When it ends by itself: 30m, 2h, 18:30, or 2030-01-31T09:00+01:00. (default: never)",
            show_default=False,
        ),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why: `mailer status` shows it.", show_default=False)] = "",
    reset: Annotated[bool, typer.Option("--reset", help="Go by the settings and by SES again.")] = False,
) -> None:
    """Show the account's rate, or set it for all hosts at run time.

    It stands in place of MAILER_RATE_PER_SECOND of every host, from the next take of every worker and over restarts,
    until `mailer rate --reset` or the given time. It never exceeds what SES allows, where SES is asked.
    """
    if reset and per_second is not None:
        raise InvalidRequest("--reset: takes no rate. Give one of the two")
    if per_second is None and (until is not None or reason):
        raise InvalidRequest("--until and --reason: need a rate, for example `mailer rate 20 --until 2h`")
    with open_redis() as (client, settings):
        keys = Keys.of(settings)
        if reset and not limits.reset_rate(client, keys):
            typer.echo("No rate was set.")
        if per_second is not None:
            end = None if until is None else moments.ahead("--until", until)
            limits.set_rate(client, keys, per_second, until=end, reason=reason, by=who())
        state = read_status(client, settings)
        echo(rate_line(state.rate, state.at))
        for difference in state.differences:
            echo(difference)
