"""Bytes at a slow, even pace: what a bad line or an overloaded server looks like from the other side."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_TICK_SECONDS = 0.05


class Trickle:
    """Passes what it is fed on to ``out``, ``bytes_per_second`` of them, and then calls ``done``."""

    def __init__(self, out: Callable[[bytes], object], bytes_per_second: float, done: Callable[[], object]) -> None:
        self._out = out
        self._done = done
        self._piece = max(1, round(bytes_per_second * _TICK_SECONDS))
        # Below a byte a tick, the ticks are longer.
        self._tick = self._piece / bytes_per_second
        self._rest = b""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_busy(self) -> bool:
        """Whether something is still to be passed on."""
        return self._timer is not None

    def feed(self, data: bytes) -> None:
        self._rest += data
        if self._timer is None:
            self._later()

    def stop(self) -> None:
        """Pass on no more."""
        self._rest = b""
        if self._timer is not None:
            self._timer.cancel()

    def _later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._tick, self._next)

    def _next(self) -> None:
        piece, self._rest = self._rest[: self._piece], self._rest[self._piece :]
        self._out(piece)
        if self._rest:
            self._later()
        else:
            self._timer = None
            self._done()
