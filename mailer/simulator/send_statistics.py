"""GetSendStatistics: attempts, bounces, complaints and rejects per quarter of an hour, for two weeks."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

QUARTER_SECONDS = 15 * 60
_KEPT_SECONDS = 14 * 24 * 60 * 60


@dataclass(slots=True)
class Point:
    """``start`` is the start of a quarter of an hour, in epoch seconds. The other fields count recipients."""

    start: int
    attempts: int = 0
    bounces: int = 0
    complaints: int = 0
    rejects: int = 0


class SendStatistics:
    """Holds a point for each quarter of an hour in which something happened, and no others."""

    def __init__(self) -> None:
        self._points: deque[Point] = deque()

    def at(self, now: float) -> Point:
        """The point for the time ``now``, which must not run backwards."""
        start = int(now // QUARTER_SECONDS) * QUARTER_SECONDS
        if not self._points or self._points[-1].start != start:
            self._points.append(Point(start))
            self._forget(now)
        return self._points[-1]

    def points(self, now: float) -> list[Point]:
        """The points of the last two weeks, oldest first."""
        self._forget(now)
        return list(self._points)

    def _forget(self, now: float) -> None:
        while self._points and self._points[0].start <= now - _KEPT_SECONDS:
            self._points.popleft()
