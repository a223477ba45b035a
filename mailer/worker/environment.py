"""Celery's own variables. Where they lead to is mailer's to say: its producers do not read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from mailer.queue.connection import redis_url
from mailer.settings import Settings

_PREFIX = "CELERY_"
_COMMAND = ("BROKER_URL", "RESULT_BACKEND", "LOADER", "CONFIG_MODULE")
"""The command ``celery`` takes these for its options; each may belong to any program on the host."""
_BROKERS = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL", "BROKER_URL")
_DEFAULT_PORTS = {"redis": 6379, "sentinel": 26379}


def without_celery(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a worker that mailer starts: all that Celery needs to know stands on its command line."""
    return {name: value for name, value in environment.items() if not name.startswith(_PREFIX) and name not in _COMMAND}


def contradictions(settings: Settings, environment: Mapping[str, str]) -> Iterator[str]:
    """Each variable by which Celery alone would look for mail elsewhere. Raises SettingsError as `redis_url`."""
    place = _place(redis_url(settings))
    for name in _BROKERS:
        # Nothing of the URL is shown: it may hold a password, and not where one belongs.
        if environment.get(name) and _place(environment[name]) != place:
            yield name


def told(names: list[str]) -> str:
    """In words: what becomes of these variables."""
    return (
        f"{' and '.join(names)}: not the Redis of MAILER_REDIS_URL. Passed over: workers, Flower and `celery -A "
        "mailer.worker` look for mail where MAILER_REDIS_URL says, as producers do, also with `celery -b`"
    )


def _place(url: str) -> frozenset[tuple[str, str, int, str]]:
    """Which servers and which database, whoever asks and however it is written."""
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
    host = parts.hostname or "localhost"
    return (
        transport,
        "localhost" if host == "127.0.0.1" else host,
        parts.port or _DEFAULT_PORTS.get(transport, 0),
        parts.path.strip("/") or "0",
    )
