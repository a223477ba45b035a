"""Passes bytes on at a slow, even pace, like a bad line or an overloaded server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_TICK_SECONDS = 0.05


class Trickle:
    """Passes its input on to ``out`` at ``bytes_per_second``, then calls ``done``."""

    def __init__(self, out: Callable[[bytes], object], bytes_per_second: float, done: Callable[[], object]) -> None:
        self._out = out
        self._done = done
        self._piece = max(1, round(bytes_per_second * _TICK_SECONDS))
        # Below one byte per tick, the ticks become longer.
        self._tick = self._piece / bytes_per_second
        self._rest = b""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_busy(self) -> bool:
        """Whether some input is still waiting."""
        return self._timer is not None

    def feed(self, data: bytes) -> None:
        self._rest += data
        if self._timer is None:
            self._later()

    def stop(self) -> None:
        """Drop the rest of the input."""
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
