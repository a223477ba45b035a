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
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import uvloop

from mailer.guard import checked_name, is_loopback
from mailer.simulator import log
from mailer.simulator.api import Api
from mailer.simulator.control import Control
from mailer.simulator.credentials import SmtpLogins
from mailer.simulator.crowd import Crowd
from mailer.simulator.doors import Doors
from mailer.simulator.events.outcomes import Outcomes
from mailer.simulator.guard import SimulatorGuard
from mailer.simulator.http import HttpProtocol
from mailer.simulator.latency import Latency
from mailer.simulator.listener import Listener, keep_outages
from mailer.simulator.reading import Budget
from mailer.simulator.service import Service
from mailer.simulator.smtp import SmtpDoor
from mailer.simulator.strangers import Strangers
from mailer.simulator.terms import Terms
from mailer.simulator.whole_file import writing
from mailer.user import uid_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailer.simulator.certificate import Certificate
    from mailer.simulator.events.destination import Destination
    from mailer.simulator.faults import Fault


_OTHER_DESCRIPTORS = 100


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the simulator. Port 0 takes a free port; None leaves that listener out.

    Every Region's account starts with ``terms``. ``secrets`` maps access key ids to secrets. If there are any, the
    simulator checks signatures and SMTP passwords. ``allow_remote`` permits a ``host`` that is not loopback: anyone who
    reaches the port, also every user of this host, may then read all mail and change the account.
    """

    host: str = "127.0.0.1"
    port: int = 9025
    smtp_port: int | None = None
    """Port for STARTTLS, as SES on 587."""
    smtps_port: int | None = None
    """Port for implicit TLS, as SES on 465."""
    smtp_idle_seconds: float = 10.0
    """How long an SMTP connection may be idle. SES closes it after about ten seconds."""
    smtp_insecure: bool = False
    """Accept SMTP without TLS and AUTH. SES never does."""
    tls: bool = False
    """HTTPS instead of HTTP."""
    terms: Terms = field(default_factory=Terms)
    region: str = "us-east-1"
    """Region of unsigned requests, of SMTP without a secret, and of control API requests that name none."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    latency: Latency = field(default_factory=Latency)
    faults: tuple[Fault, ...] = ()
    outcomes: Outcomes = field(default_factory=Outcomes)
    destinations: tuple[Destination, ...] = ()
    """Webhooks and queues that get events."""
    keep: int = 10_000
    """How many whole messages to keep. Events: four times as many."""
    keep_bytes: int = 256 * 1024 * 1024
    """How many bytes of whole messages to keep, in their clients' form."""
    keep_rows: int = 1_000_000
    """How many short rows to keep, for verification."""
    configuration_sets: tuple[str, ...] = ()
    """Names of the configuration sets that every Region's account has from the start."""
    row_tag: str = "message-id"
    """The message tag whose value a row keeps: the sender's own id of the message."""
    seed: int | None = None
    """Seed for probabilities, latencies and message ids. None: different in every run."""
    ready_file: Path | None = None
    stop_with_stdin: bool = False
    """End when standard input ends: a simulator that a test starts must not outlive it, however the test dies."""
    allow_remote: bool = False
    allow_host: tuple[str, ...] = ()
    """Host names that clients may use, besides loopback's and the listening address."""
    allow_user: tuple[str, ...] = ()
    """Users of this host, by name or number, with the same rights as the simulator's own user."""
    allow_webhook: tuple[str, ...] = ()
    """Hosts that webhooks may lead to, besides loopback and the hosts of ``destinations``."""
    connections: int = 2000
    """How many connections may be open over HTTP, and as many over SMTP."""
    http_idle_seconds: float = 60.0
    """How long an HTTP client may keep a connection waiting."""

    def __post_init__(self) -> None:
        if self.keep < 0 or self.keep_bytes < 0 or self.keep_rows < 0:
            raise ValueError("keep, keep-bytes and keep-rows must not be negative")
        if self.connections < 1 or not self.http_idle_seconds > 0:
            raise ValueError("connections must be at least 1, and http-idle-seconds above 0")
        for name in self.allow_host:
            checked_name(name)
        for user in self.allow_user:
            uid_of(user)
        if not self.allow_remote and not is_loopback(self.host):
            raise ValueError(
                f"{self.host} is not a loopback address: anyone there could read the mail. "
                "Pass --allow-remote if that is meant."
            )


def run(options: Options) -> None:
    """Serve until SIGTERM or SIGINT. Prints one JSON line (``{"http": "http://127.0.0.1:9025", ...}``) when ready."""
    log.begin()
    uvloop.run(_serve(options))


async def _serve(options: Options) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.stop_with_stdin:
        loop.add_reader(sys.stdin, _read_until_end, stop)
    service = Service(
        options.terms,
        Random(options.seed),
        secrets=options.secrets,
        latency=options.latency,
        faults=options.faults,
        keep=options.keep,
        keep_bytes=options.keep_bytes,
        keep_rows=options.keep_rows,
        row_tag=options.row_tag,
        configuration_sets=options.configuration_sets,
        outcomes=options.outcomes,
        destinations=options.destinations,
        allow_webhook=options.allow_webhook,
        region=options.region,
    )
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

    api = Api(service, options.region)
    budget = Budget()
    strangers = Strangers(options.allow_user, everybody=options.allow_remote)
    doors = Doors(
        service,
        guard=SimulatorGuard(api.refuse, options.allow_host),
        api=api.handle,
        control=Control(service, options.region).application(),
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
    if certificate is not None:
        door = SmtpDoor(
            service,
            SmtpLogins(service.secrets, options.region),
            options.region,
            certificate.context(),
            strangers,
            Crowd(crowd.most),
            budget,
            insecure=options.smtp_insecure,
            idle_seconds=options.smtp_idle_seconds,
        )
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
