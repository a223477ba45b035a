"""Sentinels: their addresses, and the server that they name as the master."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

logger = logging.getLogger(__name__)

PORT = 26379
_ASK_SECONDS = 1.0
"""How long one sentinel may take to answer. It is short because a sentinel has nothing else to do."""
_WATCH_SECONDS = 0.5
_REST_SECONDS = 10.0
"""A sentinel that did not answer is not asked for so long, unless too few others answer."""

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    """The parts of one or more ``sentinel://`` URLs: the sentinels' addresses, the master's login and its database.

    If several URLs have a login, the first one counts. If several have a database, the last one counts.
    """

    sentinels: tuple[Address, ...]
    username: str | None
    password: str | None
    database: int

    @classmethod
    def of(cls, url: str) -> SentinelUrl:
        parts = [urlsplit(part) for part in url.split(";")]
        login = next((part for part in parts if part.password), None)
        last = next((part for part in reversed(parts) if part.path.strip("/")), None)
        return cls(
            sentinels=tuple((part.hostname or "localhost", part.port or PORT) for part in parts),
            username=unquote(login.username) if login and login.username else None,
            password=unquote(login.password or "") if login else None,
            database=int(last.path.strip("/")) if last else 0,
        )

    @property
    def url(self) -> str:
        """One URL: the first sentinel, with the login and the database."""
        host, port = self.sentinels[0]
        login = "" if self.password is None else f"{quote(self.username or '', '')}:{quote(self.password, '')}@"
        return f"sentinel://{login}{f'[{host}]' if ':' in host else host}:{port}/{self.database}"


class Sentinels(Sentinel):
    """Asks every sentinel and uses the answer with the newest epoch.

    redis-py uses the first answer, but that sentinel may not know of a new master yet. While the sentinels replace a
    master, `discover_master` names none: the old one would lose new writes. With ``majority`` it names a master only if
    most sentinels answer. So no client stays with a master that the other sentinels have outvoted.
    """

    def __init__(
        self, sentinels: tuple[Address, ...], timeout: float | None, *, majority: bool = False, **options: Any
    ) -> None:
        seconds = min(timeout or _ASK_SECONDS, _ASK_SECONDS)
        asking = {
            "socket_timeout": seconds,
            "socket_connect_timeout": seconds,
            "retry": Retry(NoBackoff(), 0),
            "decode_responses": True,
        }
        super().__init__(list(sentinels), sentinel_kwargs=asking, **options)  # type: ignore[no-untyped-call]
        self._least = len(sentinels) // 2 + 1 if majority else 1
        self._rested: dict[int, float] = {}

    def discover_master(self, service_name: str) -> Address:
        """The master's address. Raises redis-py's MasterNotFoundError."""
        now = time.monotonic()
        awake = [each for each in self.sentinels if self._rested.get(id(each), 0.0) <= now]
        errors: list[str] = []
        views = self._views(awake, service_name, errors)
        if len(views) < self._least:
            views += self._views([each for each in self.sentinels if each not in awake], service_name, errors)
        if views:
            newest = max(views, key=lambda view: view.epoch)
            same = [view.trouble for view in views if view.address == newest.address and view.trouble]
            if len(views) >= self._least and not same:
                return newest.address
            errors += same or [f"{len(views)} of {len(self.sentinels)} sentinels are too few"]
        raise MasterNotFoundError(f"no master {service_name} to write to: {'; '.join(errors)}")

    def _views(self, sentinels: list[redis.Redis], name: str, errors: list[str]) -> list[_View]:
        views: list[_View] = []
        for sentinel in sentinels:
            try:
                views.append(_ask(sentinel, name))
            except redis.exceptions.ResponseError as error:
                errors.append(f"{_where(sentinel)} answers: {error}")
            except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError) as error:
                errors.append(f"{_where(sentinel)} does not answer: {error}")
                self._rested[id(sentinel)] = time.monotonic() + _REST_SECONDS
        return views


class _View(NamedTuple):
    """One sentinel's answer: its epoch, the master's address, and why that master must not be used, else empty."""

    epoch: int
    address: Address
    trouble: str


@dataclass(eq=False)
class Watch:
    """Asks the sentinels regularly, in a thread of its own.

    While they name the server that ``connected`` returns, it calls ``looked``. If they name another, it calls ``moved``
    once, and ends. This is needed because a master that was replaced as planned accepts commands for ten seconds more.
    """

    sentinels: Sentinels
    name: str
    connected: Callable[[], Address | None]
    moved: Callable[[], None]
    looked: Callable[[], None]

    def __post_init__(self) -> None:
        self._stopped = threading.Event()
        threading.Thread(target=self._run, name="sentinels", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(_WATCH_SECONDS):
            # An error here is no news: the connection itself shows whether the master works.
            with suppress(redis.exceptions.RedisError, OSError):
                master = self.sentinels.discover_master(self.name)
                connected = self.connected()
                if connected == master:
                    self.looked()
                elif connected is not None and not self._stopped.is_set():
                    logger.warning("The sentinels name %s:%s as the master now, no longer %s:%s", *master, *connected)
                    self.moved()
                    return


def _ask(sentinel: redis.Redis, name: str) -> _View:
    with sentinel.pipeline(transaction=False) as pipe:
        # During a failover the first command names the new master earlier than the second does.
        pipe.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)
        pipe.execute_command("SENTINEL", "MASTER", name)
        (host, port), state = pipe.execute()
    known = state if isinstance(state, dict) else dict(zip(state[::2], state[1::2], strict=True))
    flags = known["flags"].split(",")
    trouble = ""
    # The flags belong to the server that the second answer names.
    if (host, port) == (known["ip"], known["port"]):
        if "failover_in_progress" in flags:
            trouble = f"{_where(sentinel)} is replacing it"
        elif "s_down" in flags or "o_down" in flags:
            trouble = f"{_where(sentinel)} says that it is down"
    return _View(int(known["config-epoch"]), (host, int(port)), trouble)


def _where(sentinel: redis.Redis) -> str:
    kwargs = sentinel.connection_pool.connection_kwargs
    return f"{kwargs['host']}:{kwargs['port']}"
