"""The mail that SES accepted, read from the simulator. The demo's verdict relies on nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from mailer.simulator.client import Simulator
from mailer.simulator.inbox import Row

_THROTTLES = ("rate", "quota")


class Ledger:
    """The simulator's rows. Each `read` adds the new ones."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self.rows: list[Row] = []
        self.times: Counter[str] = Counter()
        """Message id -> number of times that SES accepted it."""
        self.first_at: dict[str, float] = {}

    def read(self) -> None:
        """Read the rows that are new since the last call."""
        after: int | None = len(self.rows)
        while after is not None:
            page = self._simulator.request("GET", "/_sim/rows", query={"after": after})
            for fields in page["rows"]:
                row = Row(*fields)
                self.rows.append(row)
                self.times[row.message_id] += 1
                self.first_at.setdefault(row.message_id, row.at)
            after = page["next"]

    def rate(self, now: float, window: float = 1.0) -> float:
        """Sends per second in the last ``window`` seconds."""
        count = 0
        for row in reversed(self.rows):
            if row.at <= now - window:
                break
            count += row.at <= now
        return count / window

    def rate_with_backlog(self, backlog: Collection[str]) -> float:
        """Sends of any messages per second, from the first to the last send of ``backlog``."""
        times = [row.at for row in self.rows if row.message_id in backlog]
        if len(times) < 2 or times[-1] == times[0]:
            return 0.0
        return sum(times[0] < row.at <= times[-1] for row in self.rows) / (times[-1] - times[0])

    def lost(self, expected: Iterable[str]) -> list[str]:
        """The messages of ``expected`` that SES never accepted."""
        return [message_id for message_id in expected if message_id not in self.times]

    def doubled(self) -> dict[str, int]:
        """Message id -> number of times, for messages that SES accepted more than once."""
        return {message_id: count for message_id, count in self.times.items() if count > 1}

    def latencies(self, enqueued: Mapping[str, float]) -> list[tuple[float, float]]:
        """(time of enqueueing, seconds until SES accepted it) for each accepted message, oldest first."""
        return sorted(
            (called, self.first_at[message_id] - called)
            # A copy: the sending thread adds to it.
            for message_id, called in list(enqueued.items())
            if message_id in self.first_at
        )

    def throttled(self) -> tuple[int, int]:
        """The number of sends refused as over the rate or the quota, and the most accepted in one second."""
        regions: list[dict[str, Any]] = list(self._simulator.stats()["regions"].values())
        refused = sum(region["refused"].get(kind, 0) for region in regions for kind in _THROTTLES)
        return refused, max((region["most_in_one_second"] for region in regions), default=0)
