"""``mailer demo``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mailer.cli.application import new_app
from mailer.demo.mail import Newsletter
from mailer.demo.play import Script, play

app = new_app()


@app.command("demo")
def demo(
    rate: Annotated[float, typer.Option(min=1, help="What the simulated account allows, per second.")] = 200.0,
    processes: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 4,
    report: Annotated[Path, typer.Option(help="Where to put the plot and the figures.", file_okay=False)] = Path(
        "demo-report"
    ),
    csv: Annotated[
        Path | None,
        typer.Option(
            help="Another CSV for the newsletter, with the same columns.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A few hundred messages, two processes, no Flower.")] = False,
    stay: Annotated[bool, typer.Option("--stay", help="Keep all of it running afterwards, until Ctrl-C.")] = False,
) -> None:
    """Watch a few thousand messages flow through all of it in half a minute.

    Starts a Valkey, worker processes, Flower and an SES simulator that enforces its limits, on free ports of 127.0.0.1;
    imports the CSV in `examples/`, sends urgent messages at random moments meanwhile, and reads back from the simulator
    what arrived. The exit code is 1 if anything was lost, doubled or throttled. Nothing keeps running, and none of
    your settings are used.
    """
    newsletter = Newsletter.shipped()
    script = Script(replace(newsletter, csv=csv) if csv else newsletter, report, rate=rate, processes=processes)
    if quick:
        script = replace(script, processes=2, most=600, urgent_every=0.1, flower=False)
    raise typer.Exit(0 if play(script, Console(highlight=False), stay=stay) else 1)
