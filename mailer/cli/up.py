"""``mailer up``."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from typer import Option

from mailer.cli.options import PORT, Processes, Threads
from mailer.cli.worker import stop_time
from mailer.host.everything import Ports, everything
from mailer.host.foreman import Foreman
from mailer.settings import current


def up(
    processes: Processes = None,
    threads: Threads = 32,
    simulator: Annotated[
        bool | None,
        Option(
            "--simulator/--no-simulator",
            help="Send to the SES simulator, or to Amazon SES.",
            show_default="the simulator if there are no AWS credentials",
        ),
    ] = None,
    simulator_rate: Annotated[
        float, Option(min=0.01, help="The simulated account's rate: recipients per second.")
    ] = 14.0,
    flower: Annotated[bool, Option("--flower/--no-flower", help="Run Flower.")] = True,
    valkey_port: Annotated[
        int | None, Option(help="Of the embedded Valkey.", show_default="the one it had, or any", **PORT)
    ] = None,
    simulator_port: Annotated[
        int | None, Option(help="Of the simulator.", show_default="9025 if free, or any", **PORT)
    ] = None,
    flower_port: Annotated[int | None, Option(help="Of Flower.", show_default="5555 if free, or any", **PORT)] = None,
    allow_user: Annotated[
        list[str] | None,
        Option(metavar="NAME", help="Let this user of the host use the simulator and Flower too. May be repeated."),
    ] = None,
) -> None:
    """Run Redis, simulator, workers and Flower on this host.

    It starts only the missing parts: an embedded Valkey (data in MAILER_DATA_DIR) if MAILER_REDIS_URL is unset, and the
    SES simulator if there are no AWS credentials. Everything listens on 127.0.0.1, and answers no other user of
    this host but root. Ctrl-C stops it all; the queue stays for the next time.
    """
    settings = current()
    stop_seconds = stop_time(settings)
    whole = everything(
        settings,
        processes=processes or os.cpu_count() or 1,
        threads=threads,
        ports=Ports(valkey_port, simulator_port, flower_port),
        simulator=simulator,
        simulator_rate=simulator_rate,
        flower=flower,
        allowed_users=allow_user or (),
        # The supervisor itself waits ``stop_seconds`` for its processes, then kills them.
        stop_seconds=stop_seconds + 5,
    )

    def tell() -> None:
        width = max(map(len, whole.places))
        typer.echo("\n" + "\n".join(f"  {place:<{width}}  {where}" for place, where in whole.places.items()))
        typer.echo("\n  Send something:")
        typer.echo("  mailer send --from me@example.com --to you@example.com --subject Hi --text Hi")
        typer.echo("  Watch:  mailer status --watch\n  Stop:   Ctrl-C\n")

    raise typer.Exit(Foreman(whole.services, tell).run())
