"""``mailer up``."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from mailer.cli.application import new_app
from mailer.cli.worker import Processes, Threads, stop_time
from mailer.host.everything import Ports, everything
from mailer.host.foreman import Foreman
from mailer.settings import current

app = new_app()

_PORT = {"min": 0, "max": 65535, "show_default": False}


@app.command("up")
def up(
    processes: Processes = None,
    threads: Threads = 32,
    simulator: Annotated[
        bool | None,
        typer.Option(
            "--simulator/--no-simulator",
            help="Send to the SES simulator, or to Amazon SES. (default: the simulator if there are no AWS "
            "credentials)",
            show_default=False,
        ),
    ] = None,
    simulator_rate: Annotated[
        float, typer.Option(min=0.01, help="What the simulator allows, in recipients per second.")
    ] = 14.0,
    flower: Annotated[bool, typer.Option("--flower/--no-flower", help="Run Flower.")] = True,
    valkey_port: Annotated[
        int | None, typer.Option(help="Of the embedded Valkey. (default: the one it had, or any)", **_PORT)
    ] = None,
    simulator_port: Annotated[int | None, typer.Option(help="(default: 9025 if free, or any)", **_PORT)] = None,
    flower_port: Annotated[int | None, typer.Option(help="(default: 5555 if free, or any)", **_PORT)] = None,
    allow_user: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Another user of this host who may do with the simulator and Flower what you may. May be repeated.",
        ),
    ] = None,
) -> None:
    """Run everything on this host: Redis, simulator, workers and Flower, as far as they are needed.

    An embedded Valkey (data in MAILER_DATA_DIR) runs if MAILER_REDIS_URL is unset, and the SES simulator if there are
    no AWS credentials. Everything listens on 127.0.0.1, and answers no other user of this host but root. Ctrl-C stops
    it all; what is queued stays for the next time.
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
        typer.echo(
            "\n  Send something:  mailer send --to you@example.com --sender me@example.com --subject Hi --text Hi"
        )
        typer.echo("  Watch:           mailer status --watch\n  Stop:            Ctrl-C\n")

    raise typer.Exit(Foreman(whole.services, tell).run())
