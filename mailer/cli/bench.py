"""``mailer bench``."""

from __future__ import annotations

import signal
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from typer import Option

from mailer.bench import plot, regions
from mailer.bench.place import DOLLARS_PER_THOUSAND, RECIPIENT, Place, Ses, Simulated
from mailer.bench.regions import Distance
from mailer.bench.run import Plan, Result, run
from mailer.bench.screen import Screen, report
from mailer.bench.stage import cores
from mailer.cli.application import prints
from mailer.cli.options import Json, Yes
from mailer.cli.printed import echo, show_json
from mailer.errors import SettingsError
from mailer.testbed.process import unwind_on

_NOTHING_REACHED = 1
# 1, 4, 16, 64 and 256 threads, then 2, 4 and 8 processes: a ladder has no more stages.
_STAGES_AT_MOST = 9
_WARM_UP_SECONDS = 2.0


@prints(Result)
@prints(list[Distance], variant="--regions")
def bench(
    want: Annotated[
        float | None,
        Option(
            min=0.1, help="Mails per second that you want to send.", show_default="the account's rate; simulated: 1,000"
        ),
    ] = None,
    latency: Annotated[
        str, Option(help="How long the simulator takes to answer: 80ms, lognormal:80ms/0.3.", metavar="TIME")
    ] = "lognormal:80ms/0.3",
    account_rate: Annotated[
        float | None,
        Option(min=0.1, help="The simulated account's rate; with --ses: how much of the account's rate to use."),
    ] = None,
    ses: Annotated[bool, Option("--ses", help="Measure SES itself: real mail to its mailbox simulator.")] = False,
    sender: Annotated[str | None, Option("--from", help="With --ses: a verified sender.", metavar="ADDRESS")] = None,
    to: Annotated[
        str, Option(help="With --ses: the recipient; may have a label: success+label@...", metavar="ADDRESS")
    ] = RECIPIENT,
    yes: Yes = False,
    seconds: Annotated[float, Option(min=0.5, help="How long each stage takes.", metavar="SECONDS")] = 3.0,
    most_threads: Annotated[int, Option(min=1, help="Try no more threads than this.")] = 256,
    most_processes: Annotated[
        int | None, Option(min=1, help="Try no more processes than this.", show_default="one for each processor core")
    ] = None,
    compare_regions: Annotated[
        bool, Option("--regions", help="Compare instead how far SES's Regions are from this host.")
    ] = False,
    endpoint: Annotated[
        list[str] | None, Option(help="With --regions: only this one. May be repeated.", metavar="URL")
    ] = None,
    plot_file: Annotated[Path | None, Option("--plot", help="Also draw it into this .svg or .png file.")] = None,
    as_json: Json = False,
) -> None:
    """Measure how fast this host can send, and what limits it.

    It also says how many processes and threads a rate takes. It runs real workers over a backlog: more and more threads
    in one process until more bring no more, then processes. They send to a simulator that it starts itself, or with
    --ses to SES's mailbox simulator and to nobody else. Redis is that of MAILER_REDIS_URL, under keys of its own that
    are deleted afterwards, or one of its own where that is unset.

    Round trips are from making a request to its answer, as a worker sees them; CPU ms are a worker's for one mail;
    workers, Redis and machine say how busy processors are (workers and Redis: 100% is one processor).
    """
    console = Console(highlight=False, stderr=as_json)
    if compare_regions:
        raise typer.Exit(_compare(endpoint, console, as_json=as_json))
    if plot_file is not None:
        plot.check(plot_file)
    place: Place = Simulated(latency, account_rate)
    if ses:
        if sender is None:
            raise SettingsError("--ses needs --from: an address of yours that SES has verified")
        place = Ses(sender, to, account_rate)
        _confirm(place, seconds, yes=yes)
    unwind_on(signal.SIGTERM, signal.SIGHUP)
    plan = Plan(seconds, most_threads, most_processes or cores(), want)
    with closing(Screen(console)) as screen:
        result = run(place, plan, screen)
    if plot_file is not None:
        plot.draw(plot_file, result)
    if as_json:
        show_json(result)
    else:
        console.print(report(result), soft_wrap=True)
        if plot_file is not None:
            console.print(f"\nPlot: {plot_file}")


def _confirm(place: Ses, seconds: float, *, yes: bool) -> None:
    most = round((place.allowed or 0) * (seconds + _WARM_UP_SECONDS) * _STAGES_AT_MOST)
    echo(
        f"This sends real mail through {place.name}, to {place.recipient}: at most {most:,} mails, "
        f"for about ${most / 1000 * DOLLARS_PER_THOUSAND:.2f}. They do not count against the 24-hour quota, "
        "but against the send rate: whatever else this account sends meanwhile may be throttled.",
        err=True,
    )
    if not yes:
        typer.confirm("Send them?", abort=True, err=True)


def _compare(urls: list[str] | None, console: Console, *, as_json: bool) -> int:
    wanted = {url: url for url in urls} if urls else regions.endpoints()
    with console.status(f"Connecting to {len(wanted)} endpoints, {regions.TRIES} times each"):
        found = regions.compare(wanted)
    reached = [each for each in found if each.error is None]
    if as_json:
        show_json(found, list[Distance])
    elif reached:
        console.print(_table(reached))
        for each in found[len(reached) :]:
            console.print(f"{each.region} was not reached: {each.error}", style="dim", soft_wrap=True)
    if not reached:
        console.print(
            f"mailer: none of {len(found)} SES endpoints could be reached from this host; {found[0].url}: "
            f"{found[0].error}. Check the network, or HTTPS_PROXY where there is a proxy",
            soft_wrap=True,
        )
    return 0 if reached else _NOTHING_REACHED


def _table(found: list[Distance]) -> Table:
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column("Region", no_wrap=True)
    for name in ("connect ms", "TLS ms", "first byte ms"):
        table.add_column(name, justify="right")
    table.add_column("", no_wrap=True)
    slowest = max(each.connect + each.first_byte for each in found)
    for each in found:
        tls = "" if each.secure is None else f"{1000 * each.secure:.1f}"
        bar = "█" * max(1, round(24 * (each.connect + each.first_byte) / slowest))
        table.add_row(
            each.region, f"{1000 * each.connect:.1f}", tls, f"{1000 * each.first_byte:.1f}", f"[cyan]{bar}[/]"
        )
    return table
