"""``mailer rate``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from typer import Argument, Option

from mailer.cli import moments
from mailer.cli.account import open_redis, who
from mailer.cli.application import prints
from mailer.cli.options import WHEN, Json
from mailer.cli.printed import echo, tell
from mailer.cli.status import rate_line
from mailer.document import Moment
from mailer.errors import InvalidRequest
from mailer.operations.status import Rate, read_status
from mailer.queue import limits
from mailer.queue.keys import Keys
from mailer.queue.limits import Difference


@dataclass(frozen=True, slots=True)
class RateNow:
    """The rate after the command. ``differences`` are the settings that differ between hosts."""

    account: str
    at: Moment
    rate: Rate
    differences: tuple[Difference, ...]

    def __str__(self) -> str:
        return "\n".join([rate_line(self.rate, self.at), *map(str, self.differences)])


@prints(RateNow)
def rate(
    per_second: Annotated[
        float | None, Argument(help="Recipients per second, of all hosts together.", metavar="RATE")
    ] = None,
    until: Annotated[
        str | None, Option(help="The end: 30m, 2h, 18:30 or 2030-01-31T09:00+01:00. Without it: --reset.", **WHEN)
    ] = None,
    reason: Annotated[str, Option(help="Why: `mailer status` shows it.")] = "",
    reset: Annotated[bool, Option("--reset", help="Go by the settings and by SES again.")] = False,
    as_json: Json = False,
) -> None:
    """Show the account's rate, or set it for all hosts at run time.

    It replaces MAILER_RATE_PER_SECOND of every host, from the next take of every worker and over restarts, until
    `mailer rate --reset` or the given time. It never exceeds what SES allows, where SES is asked.
    """
    if reset and per_second is not None:
        raise InvalidRequest("--reset: takes no rate. Give one of the two")
    if per_second is None and (until is not None or reason):
        raise InvalidRequest("--until and --reason: need a rate, for example `mailer rate 20 --until 2h`")
    with open_redis() as (client, settings):
        keys = Keys.of(settings)
        if reset and not limits.reset_rate(client, keys):
            echo("No rate was set.", err=True)
        if per_second is not None:
            end = None if until is None else moments.ahead("--until", until)
            limits.set_rate(client, keys, per_second, until=end, reason=reason, by=who())
        state = read_status(client, settings)
    tell(RateNow(state.account, state.at, state.rate, state.differences), as_json=as_json)
