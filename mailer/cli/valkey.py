"""``mailer valkey``."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Annotated

import typer
from typer import Option

from mailer.cli.options import PORT
from mailer.host.valkey import EmbeddedValkey
from mailer.settings import current

# honcho stops all of a Procfile at once, and kills after five seconds.
_OUTLAST_SECONDS = 4.0


def valkey(
    port: Annotated[int, Option(help="0: the port it had the last time, or any that is free.", **PORT)] = 0,
) -> None:
    """Run the embedded Valkey alone.

    Over MAILER_DATA_DIR, until SIGTERM or Ctrl-C. It listens on 127.0.0.1 only and writes every change to an
    append-only file. When it is stopped it goes on for some seconds while somebody is connected.

    The folder is for the eyes of the user who runs it. That user's processes find the server by themselves, other
    programs by valkey.url, and valkey-cli with REDISCLI_AUTH="$(cat valkey.password)".
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    with EmbeddedValkey(current().data_dir, port) as server:
        typer.echo(f"{server.place} over {server.data_dir}, with the password that is in valkey.url there")
        sys.stdout.flush()
        while not stop.wait(0.5):
            if server.process.poll() is not None:
                typer.echo("mailer: the embedded Valkey ended by itself", err=True)
                raise typer.Exit(1)
        server.outlast_clients(_OUTLAST_SECONDS)
