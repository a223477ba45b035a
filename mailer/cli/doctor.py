"""``mailer doctor``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer import Option

from mailer.cli.application import prints
from mailer.cli.console import PlainConsole
from mailer.cli.options import Json
from mailer.cli.printed import show_json
from mailer.doctor.examination import Wanted, examine
from mailer.doctor.finding import Finding, Level
from mailer.settings import current

_STYLES = {Level.OK: "green", Level.NOTE: "yellow", Level.PROBLEM: "bold red"}


@dataclass(frozen=True, slots=True)
class Examined:
    """``ok`` is true without a problem."""

    ok: bool
    findings: list[Finding]


@prints(Examined)
def doctor(
    sender: Annotated[
        str | None, Option("--from", help="Also look whether SES has verified this sender.", metavar="ADDRESS")
    ] = None,
    configuration_set: Annotated[
        str | None, Option(help="Also look whether SES has this configuration set.", metavar="NAME")
    ] = None,
    threads: Annotated[int, Option(min=1, help="As given to `mailer worker`.")] = 32,
    ses: Annotated[bool, Option("--ses/--no-ses", help="Whether to ask SES.")] = True,
    as_json: Json = False,
) -> None:
    """Check the set-up, and say what to mend.

    It looks at this host, Redis, the workers and the SES account; each problem comes with its remedy. It sends no mail
    and changes nothing. The exit code is 1 if there is a problem.
    """
    settings = current()
    wanted = Wanted(threads, sender, configuration_set, ses)
    if as_json:
        found = list(examine(settings, wanted))
        show_json(Examined(not _problems(found), found))
    else:
        console = PlainConsole()
        with console.status("") as status:
            found = list(_told(console, examine(settings, wanted, lambda what: status.update(f"Looking at {what}"))))
        console.print(_summary(found))
    raise typer.Exit(1 if _problems(found) else 0)


def _told(console: Console, findings: Iterator[Finding]) -> Iterator[Finding]:
    """Print each finding as it comes, and yield it."""
    for finding in findings:
        line = Table.grid(padding=(0, 2))
        line.add_column(width=7)
        # Names of hosts and keys may be long. Do not cut them off.
        line.add_column(width=18, style="dim", overflow="fold")
        line.add_column(overflow="fold")
        text = Text(finding.text)
        if finding.remedy:
            text.append(f"\n{finding.remedy}", style="italic")
        line.add_row(Text(finding.level, style=_STYLES[finding.level]), finding.about, text)
        console.print(line)
        yield finding


def _summary(found: list[Finding]) -> Text:
    problems, notes = _problems(found), sum(1 for each in found if each.level is Level.NOTE)
    if problems:
        return Text(f"{problems} {'problem' if problems == 1 else 'problems'}", style=_STYLES[Level.PROBLEM])
    return Text("No problems" + (f", {notes} to know of" if notes else ""), style=_STYLES[Level.OK])


def _problems(found: list[Finding]) -> int:
    return sum(1 for each in found if each.level is Level.PROBLEM)
