"""All checks, in the order of their dependencies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import redis
from kombu.exceptions import KombuError

from mailer.doctor import account, host, queue, server, wire
from mailer.doctor.finding import Finding, Level, ok, problem
from mailer.errors import MailerError, SettingsError
from mailer.operations.status import read_status
from mailer.queue.connection import connect
from mailer.settings import Settings


@dataclass(frozen=True, slots=True)
class Wanted:
    """The scope of an examination, besides the set-up: the ``threads`` of a worker process, the address of a sender, a
    configuration set.

    ``ses`` False skips SES. ``worker_seconds`` is the time that workers have to answer.
    """

    threads: int = 32
    sender: str | None = None
    configuration_set: str | None = None
    ses: bool = True
    worker_seconds: float = 2.0


def examine(settings: Settings, wanted: Wanted, say: Callable[[str], object] = lambda _: None) -> Iterator[Finding]:
    """Yield each finding as soon as it is known. Calls ``say`` with the next thing to examine."""
    say("this host")
    yield from host.names()
    yield from host.timeouts(settings)
    yield from host.contradictions(settings)
    yield from host.open_files(wanted.threads)
    yield from _redis(settings, wanted, say)
    if wanted.ses:
        yield from _ses(settings, wanted, say)


def _redis(settings: Settings, wanted: Wanted, say: Callable[[str], object]) -> Iterator[Finding]:
    say("Redis")
    try:
        client = connect(settings)
    except SettingsError as error:
        yield problem("Redis", "it is not known where it is", str(error))
        return
    yield from wire.redis(settings)
    with client:
        where = _where(client)
        try:
            client.ping()
        except (redis.exceptions.RedisError, OSError) as error:
            yield problem("Redis", f"{where}: {error}", "Start it, open the way to it, or correct MAILER_REDIS_URL")
            return
        yield ok("Redis", f"{where} answers")
        is_producer = server.only_enqueues(client, settings)
        yield from [server.enqueuing()] if is_producer else _guarded("rights", lambda: server.rights(client, settings))
        try:
            info = client.info()
        except redis.exceptions.RedisError as error:
            yield problem("Redis", f"INFO: {error}", "Give the user `+info`")
            return
        yield from server.version(info)
        role = list(server.role(info))
        yield from role
        yield from server.replicas(info, server.least_replicas(client), settings)
        yield from server.memory(info)
        yield from server.largest(client)
        yield from server.persistence(info, server.fsync_policy(client))
        yield from _guarded("latency", lambda: server.latency(client))
        yield from _guarded("clock", lambda: server.clock(client))
        if is_producer or any(each.level is Level.PROBLEM for each in role):
            return
        yield from _guarded("account", lambda: _account(client, settings))
        yield from _guarded("keys", lambda: queue.keys(client, settings))
        yield from _guarded("queues", lambda: queue.strays(client, settings))
        say("the workers")
        yield from _guarded("workers", lambda: queue.workers(settings, wanted.worker_seconds))


def _account(client: redis.Redis, settings: Settings) -> Iterator[Finding]:
    status = read_status(client, settings)
    yield from queue.state(status)
    yield from queue.limits(status, settings)


def _ses(settings: Settings, wanted: Wanted, say: Callable[[str], object]) -> Iterator[Finding]:
    say("the AWS credentials")
    access, found = account.credentials(settings)
    yield from found
    if settings.transport == "smtp":
        yield from account.smtp(settings)
    if access is None:
        return
    say("SES")
    if settings.transport != "smtp":
        yield from account.endpoint(access, settings)
    limits, found = account.limits(settings)
    yield from found
    if limits is not None:
        yield from account.standing(limits)
        yield from account.allowance(limits, settings)
        yield from account.clock(limits)
    if wanted.sender is not None:
        yield from account.sender(wanted.sender, settings)
    if wanted.configuration_set is not None:
        yield from account.configuration_set(wanted.configuration_set, settings)


def _guarded(about: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Run ``check``. Redis may refuse a part of it, or fail in the middle."""
    try:
        yield from check()
    except (redis.exceptions.RedisError, KombuError, MailerError, OSError) as error:
        yield problem(about, f"could not be looked at: {error}", "See to the problems above first")


def _where(client: redis.Redis) -> str:
    """The server's address, without its password."""
    kwargs = client.connection_pool.connection_kwargs
    place = kwargs.get("path") or f"{kwargs.get('host', 'the master of the sentinels')}:{kwargs.get('port', '')}"
    return f"{str(place).rstrip(':')}, database {kwargs.get('db') or 0}"
