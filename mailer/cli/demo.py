"""``mailer demo``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from typer import Option

from mailer.demo.mail import Newsletter
from mailer.demo.play import Script, play


def demo(
    rate: Annotated[float, Option(min=1, help="The simulated account's rate: recipients per second.")] = 200.0,
    processes: Annotated[int, Option(min=1, help="Worker processes.")] = 4,
    report: Annotated[
        Path, Option(help="The folder for the plot and the figures.", metavar="FOLDER", file_okay=False)
    ] = Path("demo-report"),
    csv: Annotated[
        Path | None, Option(help="Another CSV for the newsletter, with the same columns.", exists=True, dir_okay=False)
    ] = None,
    quick: Annotated[bool, Option("--quick", help="A few hundred messages, two processes, no Flower.")] = False,
    stay: Annotated[bool, Option("--stay", help="Keep all of it running afterwards, until Ctrl-C.")] = False,
) -> None:
    """Watch some thousand messages flow through it all.

    It takes half a minute. It starts a Valkey, worker processes, Flower and an SES simulator that enforces its limits,
    on free ports of 127.0.0.1; imports the CSV in `examples/`, sends urgent messages at random moments meanwhile, and
    reads back from the simulator what arrived. The exit code is 1 if anything was lost, doubled or throttled. Nothing
    keeps running, and none of your settings are used.
    """
    newsletter = Newsletter.shipped()
    script = Script(replace(newsletter, csv=csv) if csv else newsletter, report, rate=rate, processes=processes)
    if quick:
        script = replace(script, processes=2, most=600, urgent_every=0.1, flower=False)
    raise typer.Exit(0 if play(script, Console(highlight=False), stay=stay) else 1)
