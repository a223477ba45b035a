"""Sentinels: who they are, and which server they name as the master."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

PORT = 26379
_ASK_SECONDS = 1.0
"""How long one sentinel may take to answer: it has nothing else to do."""
_REST_SECONDS = 10.0
"""For how long a sentinel that did not answer is left out, as long as another one answers."""

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Place:
    """What a ``sentinel://`` URL says, however many sentinels it names: where they are, and how to log in at the
    master and in which database. The login is the first that is given, the database the last."""

    sentinels: tuple[Address, ...]
    username: str | None
    password: str | None
    database: int

    @classmethod
    def of(cls, url: str) -> Place:
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
        """One URL, of the first sentinel, with the login and the database."""
        host, port = self.sentinels[0]
        login = "" if self.password is None else f"{quote(self.username or '', '')}:{quote(self.password, '')}@"
        return f"sentinel://{login}{f'[{host}]' if ':' in host else host}:{port}/{self.database}"


class Sentinels(Sentinel):
    """Asks every sentinel and believes the newest: redis-py believes the first, which may not have heard yet."""

    def __init__(self, sentinels: tuple[Address, ...], timeout: float | None, **options: Any) -> None:
        seconds = min(timeout or _ASK_SECONDS, _ASK_SECONDS)
        asking = {"socket_timeout": seconds, "socket_connect_timeout": seconds, "retry": Retry(NoBackoff(), 0)}
        super().__init__(list(sentinels), sentinel_kwargs=asking, **options)  # type: ignore[no-untyped-call]
        self._rested: dict[int, float] = {}

    def discover_master(self, service_name: str) -> Address:
        """Where the master is. Raises redis-py's MasterNotFoundError."""
        now = time.monotonic()
        awake = [each for each in self.sentinels if self._rested.get(id(each), 0.0) <= now]
        errors: list[str] = []
        found = self._newest(awake, service_name, errors) or (
            self._newest([each for each in self.sentinels if each not in awake], service_name, errors)
        )
        if found is None:
            raise MasterNotFoundError(f"no sentinel names a master {service_name}: {'; '.join(errors)}")
        return found

    def _newest(self, sentinels: list[redis.Redis], name: str, errors: list[str]) -> Address | None:
        newest, found = -1, None
        for sentinel in sentinels:
            try:
                epoch, address, well = _ask(sentinel, name)
            except redis.exceptions.ResponseError as error:
                errors.append(f"{_where(sentinel)} answers: {error}")
                continue
            except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError) as error:
                errors.append(f"{_where(sentinel)} does not answer: {error}")
                self._rested[id(sentinel)] = time.monotonic() + _REST_SECONDS
                continue
            if not well:
                errors.append(f"{_where(sentinel)} says that it is down")
            if epoch > newest or (epoch == newest and well):
                newest, found = epoch, address if well else None
        return found


def _ask(sentinel: redis.Redis, name: str) -> tuple[int, Address, bool]:
    """The epoch of what this sentinel knows, where the master is, and whether it is well as far as this one sees."""
    with sentinel.pipeline(transaction=False) as pipe:
        # During a failover the first names the new master earlier than the second.
        pipe.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)  # type: ignore[no-untyped-call]
        pipe.execute_command("SENTINEL", "MASTER", name)  # type: ignore[no-untyped-call]
        named, state = pipe.execute()
    host, port = map(_text, named)
    pairs = state.items() if isinstance(state, dict) else zip(state[::2], state[1::2], strict=True)
    known = {_text(field): _text(value) for field, value in pairs}
    is_down = not {"s_down", "o_down"}.isdisjoint(known["flags"].split(","))
    # The flags are of the server that the second answer names.
    return int(known["config-epoch"]), (host, int(port)), not (is_down and (host, port) == (known["ip"], known["port"]))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _where(sentinel: redis.Redis) -> str:
    kwargs = sentinel.connection_pool.connection_kwargs
    return f"{kwargs['host']}:{kwargs['port']}"
