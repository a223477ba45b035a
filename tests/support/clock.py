"""Redis's clock as the scripts see it, made to stand still.

Of a script only the part that reads the clock is another one. Each call takes a microsecond, so that what comes later
is later; but a script that may not write takes none.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import ClassVar, Self

import redis

from mailer.queue.script import stand_in

_KEY = "tests:still"
_CLOCK = f"""local now = redis.pcall('INCR', '{_KEY}')
if type(now) == 'table' then now = tonumber(redis.call('GET', '{_KEY}')) end
return now"""
_ADVANCE = "#!lua flags=allow-oom\nreturn redis.call('INCRBY', KEYS[1], ARGV[1])"
_MINUTE_US = 60_000_000


class Still:
    """The clock, from now on in the middle of this minute: none turns unless the test wants it to."""

    current: ClassVar[Still | None] = None

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._stack = ExitStack()
        self._stepped = 0.0

    def __enter__(self) -> Self:
        self._stack.enter_context(stand_in("clock", _CLOCK))
        Still.current = self
        self._client.set(_KEY, server_us(self._client) // _MINUTE_US * _MINUTE_US + _MINUTE_US // 2)
        return self

    def __exit__(self, *_: object) -> None:
        Still.current = None
        self._stack.close()
        self._client.delete(_KEY)

    @property
    def us(self) -> int:
        return int(self._client.get(_KEY))  # type: ignore[arg-type]

    def catch_up(self) -> None:
        """It shows what the server's own does."""
        self._client.set(_KEY, server_us(self._client))

    def advance(self, seconds: float) -> None:
        """So much time passes."""
        # Of a Redis that is full, too.
        self._client.eval(_ADVANCE, 1, _KEY, round(seconds * 1e6))

    def step(self, seconds: float) -> None:
        """No time passes: another server takes over, or somebody sets this one's clock."""
        self.advance(seconds)
        self._stepped += seconds

    @property
    def monotonic(self) -> float:
        return self.us / 1e6 - self._stepped


def server_us(client: redis.Redis) -> int:
    """The server's own clock, epoch microseconds."""
    seconds, micros = client.time()
    return int(seconds) * 1_000_000 + int(micros)


def now_us(client: redis.Redis) -> int:
    """Epoch microseconds by the clock of the scripts."""
    return Still.current.us if Still.current else server_us(client)


def monotonic() -> float:
    """This machine's clock, which stands still with Redis's."""
    return Still.current.monotonic if Still.current else time.monotonic()
