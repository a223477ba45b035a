"""Celery's own environment variables. Workers ignore the brokers in them, as mailer's producers do not read them."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from mailer.queue.connection import redis_url
from mailer.settings import Settings

_PREFIX = "CELERY_"
_COMMAND = ("BROKER_URL", "RESULT_BACKEND", "LOADER", "CONFIG_MODULE")
"""The command ``celery`` reads these as its options. Any other program on the host may use the same names."""
_BROKERS = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL", "BROKER_URL")
_DEFAULT_PORTS = {"redis": 6379, "sentinel": 26379}


def without_celery(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a worker that mailer starts. The command line gives Celery all that it needs."""
    return {name: value for name, value in environment.items() if not name.startswith(_PREFIX) and name not in _COMMAND}


def contradictions(settings: Settings, environment: Mapping[str, str]) -> list[str]:
    """The variables that name another Redis than the settings do. Raises SettingsError as `redis_url` does."""
    place = _place(redis_url(settings))
    # Never show the URL: it may hold a password in an unexpected part.
    return [name for name in _BROKERS if environment.get(name) and _place(environment[name]) != place]


def told(names: list[str]) -> str:
    """The warning about these variables, for people."""
    return (
        f"{' and '.join(names)}: not the Redis of MAILER_REDIS_URL. Passed over: workers, Flower and `celery -A "
        "mailer.worker` look for mail where MAILER_REDIS_URL says, as producers do, also with `celery -b`"
    )


def _place(url: str) -> frozenset[tuple[str, str, int, str]]:
    """The servers and the database, without the login and independent of the spelling."""
    try:
        return frozenset(_part(part) for part in url.split(";"))
    except ValueError:
        return frozenset()


def _part(url: str) -> tuple[str, str, int, str]:
    parts = urlsplit(url)
    transport = parts.scheme.removeprefix("gated+").removeprefix("redis+")
    if transport in ("unix", "socket"):
        return "unix", parts.path, 0, ""
    transport = "redis" if transport == "rediss" else transport
    host = "localhost" if parts.hostname in (None, "127.0.0.1") else parts.hostname
    port = parts.port or _DEFAULT_PORTS.get(transport, 0)
    return transport, host, port, parts.path.strip("/") or "0"
