"""``mailer worker``."""

from __future__ import annotations

import os
import time
from typing import Annotated, Literal

import typer
from typer import Option

from mailer.cli.options import LANE, Processes, Threads
from mailer.errors import NotOurs, SettingsError
from mailer.host.supervisor import Supervisor, workers
from mailer.queue.connection import redis_url
from mailer.ses.transports import check_host, configured
from mailer.settings import Settings, current
from mailer.worker import alive, environment

LogLevel = Literal["debug", "info", "warning", "error"]

_EMBEDDED_STARTS_SECONDS = 15.0
_SETTLING_SECONDS = 7.0


def worker(
    processes: Processes = None,
    threads: Threads = 32,
    lane: Annotated[list[str] | None, Option(help="Serve only this lane. May be repeated.", **LANE)] = None,
    name: Annotated[
        str | None,
        Option(
            help="The workers are NAME1@host, NAME2@host and so on.",
            metavar="NAME",
            show_default="mailer1-7f3a@host, ...",
        ),
    ] = None,
    log_level: Annotated[
        LogLevel,
        Option(help="Log this and worse: debug, info, warning or error.", metavar="LEVEL", case_sensitive=False),
    ] = "info",
    stop_seconds: Annotated[
        float | None,
        Option(min=0, help="How long a stop may take.", metavar="SECONDS", show_default="as long as a send, and 7"),
    ] = None,
) -> None:
    """Run the worker processes of this host.

    Those that die are started again. How many there are on how many hosts does not change the rate: Redis hands out
    permits. SIGTERM or Ctrl-C stops them once what they are sending is settled.
    """
    settings = current()
    # Most urgent first, in any order of the options.
    wanted = set(map(settings.lanes.check, lane)) if lane else set(settings.lanes)
    lanes = [one for one in settings.lanes if one in wanted]
    _await_redis(settings)
    if contradictions := environment.contradictions(settings, os.environ):
        typer.echo(f"mailer worker: {environment.told(contradictions)}", err=True)
    with configured(settings) as transport:
        check_host(transport)
    members = workers(
        processes or os.cpu_count() or 1,
        threads,
        lanes,
        name=name,
        loglevel=log_level,
        alive_dir=settings.alive_dir,
    )
    if settings.alive_dir is not None:
        alive.begin(settings.alive_dir, [member.alive for member in members if member.alive])
    patience = stop_time(settings) if stop_seconds is None else stop_seconds
    raise typer.Exit(Supervisor(members, patience_seconds=patience).run())


def stop_time(settings: Settings) -> float:
    """The most seconds that workers need to finish their sends."""
    return settings.send_seconds + _SETTLING_SECONDS


def _await_redis(settings: Settings) -> None:
    """Wait for the address of Redis: the embedded one may be starting. Raises SettingsError if none appears."""
    deadline = time.monotonic() + _EMBEDDED_STARTS_SECONDS
    told = False
    while True:
        try:
            redis_url(settings)
        except NotOurs:
            raise
        except SettingsError:
            if settings.redis_url is not None or time.monotonic() > deadline:
                raise
            if not told:
                typer.echo(
                    f"mailer worker: MAILER_REDIS_URL is not set: waiting {_EMBEDDED_STARTS_SECONDS:g} s for the "
                    f"embedded server over {settings.data_dir}",
                    err=True,
                )
                told = True
            time.sleep(0.1)
        else:
            return
