"""Connections to Redis, from the settings."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from mailer.errors import SettingsError
from mailer.queue.connection_pool import Pool, SentinelPool
from mailer.queue.embedded import embedded_url
from mailer.queue.sentinels import Sentinels, SentinelUrl
from mailer.settings import Settings

MAX_CONNECTIONS = 100
"""The most connections of one client. Further simultaneous calls wait for one of them."""


def connect(settings: Settings) -> redis.Redis:
    """A client for producers and operators; answers are bytes. It is thread-safe and fork-safe.

    Each command is sent only once. If no answer comes, it may have been carried out or not: the caller must say so.
    """
    url = redis_url(settings)
    options: dict[str, Any] = {
        "socket_timeout": settings.redis_timeout_seconds,
        "socket_connect_timeout": settings.redis_timeout_seconds,
        "socket_keepalive": True,
        "health_check_interval": 25,
        "retry": Retry(NoBackoff(), 0),
        "max_connections": MAX_CONNECTIONS,
    }
    if url.startswith("sentinel://"):
        return _through_sentinels(url, settings, options)
    if url.startswith("unix://"):
        del options["socket_keepalive"]
    try:
        return redis.Redis.from_pool(Pool.from_url(url, **options))
    except ValueError as error:
        raise SettingsError(f"MAILER_REDIS_URL: {error}") from None


def redis_url(settings: Settings) -> str:
    """The URL in clear text, with its password. Raises SettingsError that says which setting to set."""
    if settings.redis_url is None:
        embedded = embedded_url(settings.data_dir)
        if embedded is not None:
            return embedded
        raise SettingsError(
            f"MAILER_REDIS_URL is not set, and no embedded server is over {settings.data_dir.absolute()}. Set it, for "
            "example to redis://localhost:6379/0. Or start a server with `mailer up`. Or name the folder of one that "
            "runs in MAILER_DATA_DIR"
        )
    url = settings.redis_url.get_secret_value()
    if not url:
        raise SettingsError("MAILER_REDIS_URL is empty: set it, for example to redis://localhost:6379/0, or unset it")
    if not url.startswith(("redis://", "rediss://", "unix://", "sentinel://")):
        scheme, colon, _ = url.partition("://")
        named = f"{scheme}://" if colon else "what stands before the first :"
        raise SettingsError(f"MAILER_REDIS_URL: {named} is not one of redis, rediss, unix and sentinel")
    parts = url.split(";")
    if len(parts) > 1 and not all(part.startswith("sentinel://") for part in parts):
        raise SettingsError(
            "MAILER_REDIS_URL: more than one URL is for sentinels only, and each begins with sentinel://. Two servers "
            "are two queues, and mail on the one does not wait on the other"
        )
    for part in parts:
        _check_url(part)
    return url


def _check_url(url: str) -> None:
    """Check one URL. Errors show nothing of it: text that looks like a port may be half a password."""
    parts = urlsplit(url)
    if not all(name.startswith("ssl_") for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        # redis-py (producers) would read other options. kombu (workers) would not: workers would look for mail in
        # another database.
        raise SettingsError(
            "MAILER_REDIS_URL: only options that begin with ssl_ are read after the ?. User and password go before the "
            "host, with ? written as %3F, and the database after the last /: redis://user:password@host:6379/0 (over "
            "unix:// it is 0). For timeouts set MAILER_REDIS_TIMEOUT_SECONDS"
        )
    if parts.scheme == "unix":
        return
    try:
        _ = parts.port
    except ValueError:
        raise SettingsError(
            "MAILER_REDIS_URL: the port is not a number up to 65535. If the password has one of / ? # @ : in it, "
            "percent-encode that: %2F %3F %23 %40 %3A"
        ) from None
    database = parts.path.strip("/")
    if database and not database.isdecimal():
        raise SettingsError("MAILER_REDIS_URL: what follows the last / is the database, a number, for example /0")


def _through_sentinels(url: str, settings: Settings, options: dict[str, Any]) -> redis.Redis:
    if not settings.redis_sentinel_master:
        raise SettingsError("MAILER_REDIS_SENTINEL_MASTER is not set: name the master that the sentinels watch")
    named = SentinelUrl.of(url)
    if named.password is not None:
        options = {**options, "username": named.username, "password": named.password}
    majority = settings.redis_replicas > 0
    timeout = settings.redis_timeout_seconds
    sentinels = Sentinels(named.sentinels, timeout, majority=majority, db=named.database, **options)
    return sentinels.master_for(  # type: ignore[no-any-return,no-untyped-call]
        settings.redis_sentinel_master, connection_pool_class=SentinelPool
    )
