"""Starts the simulator: opens the listeners, prints the ready line, and ends cleanly."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from mailer.simulator import log
from mailer.simulator.api.endpoint import Api
from mailer.simulator.control.control import Control
from mailer.simulator.service import Service
from mailer.simulator.whole_file import writing
from mailer.simulator.wire.crowd import Crowd
from mailer.simulator.wire.doors import Doors
from mailer.simulator.wire.guard import SimulatorGuard
from mailer.simulator.wire.http import HttpProtocol
from mailer.simulator.wire.listener import Listener, keep_outages
from mailer.simulator.wire.reading import Budget
from mailer.simulator.wire.strangers import Strangers

if TYPE_CHECKING:
    from mailer.simulator.certificate import Certificate
    from mailer.simulator.options import Options

_OTHER_DESCRIPTORS = 100


def run(options: Options) -> None:
    """Serve until SIGTERM or SIGINT. Prints one JSON line (``{"http": "http://127.0.0.1:9025", ...}``) when ready."""
    log.begin()
    try:
        from uvloop import run as run_loop  # noqa: PLC0415 - it is not there on every system
    except ModuleNotFoundError:
        asyncio.run(_serve(options))
    else:
        run_loop(_serve(options))


async def _serve(options: Options) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.stop_with_stdin:
        loop.add_reader(sys.stdin, _read_until_end, stop)
    service = Service(options)
    async with AsyncExitStack() as stack:
        crowd = Crowd(_room(options.connections))
        ready, listeners = await _listen(options, service, crowd, stack)
        _announce(ready, options.ready_file)
        # If a background task fails, the process ends. Otherwise the simulator would run on without the task.
        async with asyncio.TaskGroup() as tasks:
            kept = [
                tasks.create_task(keep_outages(listeners, service.faults)),
                tasks.create_task(crowd.keep_moving()),
            ]
            await stop.wait()
            for task in kept:
                task.cancel()


async def _listen(
    options: Options, service: Service, crowd: Crowd, stack: AsyncExitStack
) -> tuple[dict[str, str], list[Listener]]:
    """Open every requested listener. Returns the members of the ready line, and the listeners."""
    certificate = _certificate(options, stack)
    ready: dict[str, str] = {}
    if certificate is not None:
        ready["ca_file"] = str(certificate.ca_file)

    api = Api(service)
    budget = Budget()
    strangers = Strangers(options.allow_user, everybody=options.allow_remote)
    doors = Doors(
        service,
        guard=SimulatorGuard(api.refuse, options.allow_host),
        api=api.handle,
        control=Control(service).answer,
        strangers=strangers,
        crowd=crowd,
        budget=budget,
        idle_seconds=options.http_idle_seconds,
    )
    http = Listener(
        "http",
        lambda: HttpProtocol(doors),
        options.host,
        options.port,
        certificate.context() if certificate is not None and options.tls else None,
    )
    listeners = {"http": http}
    if certificate is not None and (options.smtp_port, options.smtps_port) != (None, None):
        # The import of aiosmtpd takes a while too.
        from mailer.simulator.wire.smtp import SmtpDoor  # noqa: PLC0415

        door = SmtpDoor(service, certificate.context(), strangers, Crowd(crowd.most), budget)
        for name, port, factory, context in (
            ("smtp", options.smtp_port, door.starttls, None),
            ("smtps", options.smtps_port, door.implicit_tls, certificate.context()),
        ):
            if port is not None:
                listeners[name] = Listener("smtp", factory, options.host, port, context)
    for name, listener in listeners.items():
        await listener.open()
        stack.callback(listener.close)
        ready[name] = listener.address
    scheme = "https" if options.tls else "http"
    ready["http"] = f"{scheme}://{http.address}"
    # Subscribers on other hosts know this one by the name in --allow-host.
    named = http.listens_everywhere and options.allow_host
    service.subscriptions.start(f"{scheme}://{options.allow_host[0]}:{http.port}" if named else ready["http"])
    stack.callback(service.subscriptions.stop)
    return ready, list(listeners.values())


def _certificate(options: Options, stack: AsyncExitStack) -> Certificate | None:
    if not options.tls and options.smtp_port is None and options.smtps_port is None:
        return None
    # The import of cryptography takes a tenth of a second, and plain HTTP does not need it.
    from mailer.simulator.certificate import Certificate  # noqa: PLC0415

    directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="ses-simulator-"))
    return Certificate.make(Path(directory), [options.host, *options.allow_host])


def _room(connections: int) -> int:
    """The number of connections that descriptors allow, for HTTP and for SMTP each. Raises the soft limit for it."""
    wanted = 2 * connections + _OTHER_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return max(1, min(connections, (most - _OTHER_DESCRIPTORS) // 2))


def _read_until_end(stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin)
        stop.set()


def _announce(ready: dict[str, str], ready_file: Path | None) -> None:
    line = json.dumps(ready)
    if ready_file is not None:
        with writing(ready_file, 0o644) as file:
            file.write(f"{line}\n")
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
