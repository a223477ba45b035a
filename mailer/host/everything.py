"""The processes of `mailer up`: all in the Procfile, except for the ones that this host already has."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import botocore.exceptions
import botocore.session

from mailer.account import Account
from mailer.errors import SettingsError
from mailer.guard import is_loopback
from mailer.host.foreman import Service, procfile
from mailer.host.port import LOOPBACK, answers, free_port, is_ours
from mailer.masking import mask_logins, without_login
from mailer.queue.connection import connect
from mailer.queue.embedded import address_file
from mailer.ses.credentials import open_session
from mailer.settings import Settings
from mailer.user import uid_of

FLOWER_PORT = 5555
SIMULATOR_PORT = 9025
LAST_PORT = 65_535

_WORKER_READY = re.compile(rb"@\S+ ready\.$")


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports to listen on. None: the usual port if it is free, else any free port."""

    valkey: int | None = None
    simulator: int | None = None
    flower: int | None = None


@dataclass(frozen=True, slots=True)
class Everything:
    """The services, and the addresses to show to a person once they run."""

    services: tuple[Service, ...]
    places: Mapping[str, str]


def everything(
    settings: Settings,
    *,
    processes: int,
    threads: int,
    ports: Ports,
    simulator: bool | None = None,
    simulator_rate: float = 14.0,
    flower: bool = True,
    allowed_users: Sequence[str] = (),
    stop_seconds: float,
) -> Everything:
    """Decide what to run, and where. ``simulator`` None: run it if there are no AWS credentials. ``allowed_users`` of
    this host may use the simulator and Flower as this user does.

    Raises SettingsError if a needed part cannot run here.
    """
    commands = procfile()
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",
        "MAILER_DATA_DIR": str(settings.data_dir.absolute()),
        "WORKER_PROCESSES": str(processes),
        "WORKER_THREADS": str(threads),
    }
    for user in allowed_users:
        try:
            uid_of(user)
        except ValueError as error:
            raise SettingsError(f"--allow-user: {error}") from None
    if allowed_users:
        environment |= dict.fromkeys(("SIMULATOR_ALLOW_USER", "FLOWER_ALLOW_USER"), ",".join(allowed_users))
    services: list[Service] = []
    places: dict[str, str] = {}

    if settings.redis_url is None:
        port = ports.valkey or 0
        environment["VALKEY_PORT"] = str(port)
        address = address_file(settings.data_dir.absolute())
        ready = partial(_has_changed, address, _version(address))
        services.append(Service("valkey", commands["valkey"], environment, is_ready=ready, stop_seconds=25.0))
        places["Redis"] = (
            f"embedded Valkey, data and address with its password (valkey.url) in {settings.data_dir.absolute()}"
        )
    else:
        _ping(settings)
        places["Redis"] = "MAILER_REDIS_URL"

    if simulator is None:
        simulator = not has_aws_credentials(settings) and "AWS_ENDPOINT_URL_SESV2" not in os.environ
    if simulator:
        port = _port(ports.simulator, _port_in("SIMULATOR_PORT", SIMULATOR_PORT), "--simulator-port")
        url = f"http://{LOOPBACK}:{port}"
        environment = simulated_aws(url, environment)
        environment |= {"SIMULATOR_PORT": str(port), "SIMULATOR_RATE": f"{simulator_rate:g}"}
        services.append(Service("simulator", commands["simulator"], environment, is_ready=partial(is_ours, port)))
        places["SES"] = f"simulator at {url}, {simulator_rate:g} per second; what was sent: {url}/"
    else:
        named = os.environ.get("AWS_ENDPOINT_URL_SESV2")
        places["SES"] = without_login(named) if named else "Amazon SES itself, with this host's credentials"

    services.append(
        Service(
            "worker",
            commands["worker"],
            environment,
            stage=1,
            ready_lines=(_WORKER_READY, processes),
            stop_seconds=stop_seconds,
        )
    )
    places["Workers"] = f"{processes} processes of {threads} threads; lanes {', '.join(settings.lanes)}"

    if flower and find_spec("flower") is None:
        places["Flower"] = "not installed: install mailer[flower]"
    elif flower:
        _check_flower()
        port = _port(ports.flower, _port_in("FLOWER_PORT", FLOWER_PORT), "--flower-port")
        environment["FLOWER_PORT"] = str(port)
        prefix = os.environ.get("FLOWER_URL_PREFIX", "").strip("/")
        places["Flower"] = f"http://{_flower_address()}:{port}/{f'{prefix}/' if prefix else ''}"
        ready = partial(is_ours, port)
        # Start after the workers: Flower queries them at its start.
        services.append(Service("flower", commands["flower"], environment, 2, ready, essential=False))
    return Everything(tuple(services), places)


_OF_AN_ACCOUNT = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "MAILER_AWS_PROFILE", "MAILER_AWS_REGION")


def simulated_aws(url: str, environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` for processes that send to the simulator at ``url``, with fake credentials."""
    kept = {name: value for name, value in environment.items() if name not in _OF_AN_ACCOUNT}
    return {
        **kept,
        "AWS_ENDPOINT_URL_SESV2": url,
        "AWS_ACCESS_KEY_ID": "simulator",
        "AWS_SECRET_ACCESS_KEY": "simulator",
        "AWS_REGION": kept.get("AWS_REGION") or kept.get("AWS_DEFAULT_REGION") or "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def has_aws_credentials(account: Account) -> bool:
    """Whether botocore finds credentials on this host. It asks the instance metadata once, for a second at most."""
    session = open_session(account)
    session.set_config_variable("metadata_service_timeout", 1)
    session.set_config_variable("metadata_service_num_attempts", 1)
    try:
        return session.get_credentials() is not None
    except botocore.exceptions.BotoCoreError as error:
        raise SettingsError(
            f"The AWS credentials cannot be read: {mask_logins(str(error))}. Correct them, or pass --simulator"
        ) from None


def _check_flower() -> None:
    if not is_loopback(_flower_address()) and not os.environ.get("FLOWER_BASIC_AUTH"):
        raise SettingsError(
            f"FLOWER_ADDRESS={_flower_address()} lets others reach Flower, which can stop workers: set "
            "FLOWER_BASIC_AUTH=user:password too"
        )


def _flower_address() -> str:
    return os.environ.get("FLOWER_ADDRESS") or LOOPBACK


def _port(wanted: int | None, usual: int, option: str) -> int:
    if not wanted:
        return free_port(usual)
    if answers(wanted):
        raise SettingsError(f"{option} {wanted}: something listens there already. Name another port, or 0 for any")
    return wanted


def _port_in(variable: str, usual: int) -> int:
    text = os.environ.get(variable) or str(usual)
    if not text.isdecimal() or int(text) > LAST_PORT:
        raise SettingsError(f"{variable}: {text!r} is no port. Use a number up to {LAST_PORT}")
    return int(text)


def _version(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _has_changed(file: Path, before: tuple[int, int] | None) -> bool:
    """Whether ``file`` was written since it had the version ``before``. A file from a killed server does not count."""
    return _version(file) not in (None, before)


def _ping(settings: Settings) -> None:
    client = connect(settings)
    try:
        client.ping()
    finally:
        client.close()
