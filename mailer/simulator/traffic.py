"""Exact counts of one account's traffic: totals, refusals by kind, 100 ms slots, the busiest second."""

from __future__ import annotations

from collections import Counter, deque

SLOT_SECONDS = 0.1
_SLOTS_KEPT = 36_000  # an hour


class Traffic:
    """Counts recipients and messages by the time of their acceptance or refusal (epoch seconds)."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.messages = 0
        self.recipients = 0
        self.refused: Counter[str] = Counter()
        self.most_in_one_second = 0
        """The largest number of recipients accepted in any window (t - 1 s, t]."""
        self.first_accepted_at: float | None = None
        self.last_accepted_at: float | None = None
        self._last_second: deque[tuple[float, int]] = deque()
        self._in_last_second = 0
        self._slots: deque[list[int]] = deque(maxlen=_SLOTS_KEPT)

    def accept(self, now: float, recipients: int) -> None:
        self.messages += 1
        self.recipients += recipients
        if self.first_accepted_at is None:
            self.first_accepted_at = now
        self.last_accepted_at = now
        window = self._last_second
        # Only an acceptance can make a window larger. So looking back from each acceptance finds the maximum.
        while window and window[0][0] <= now - 1.0:
            self._in_last_second -= window.popleft()[1]
        window.append((now, recipients))
        self._in_last_second += recipients
        self.most_in_one_second = max(self.most_in_one_second, self._in_last_second)
        self._slot(now)[1] += recipients

    def refuse(self, now: float, kind: str, recipients: int) -> None:
        self.refused[kind] += 1
        self._slot(now)[2] += recipients

    def slots(self, since: float = 0.0) -> list[tuple[float, int, int]]:
        """(start in epoch seconds, recipients accepted, recipients refused) for each slot that is not empty."""
        return [
            (round(number * SLOT_SECONDS, 1), accepted, refused)
            for number, accepted, refused in self._slots
            if (number + 1) * SLOT_SECONDS > since
        ]

    def _slot(self, now: float) -> list[int]:
        number = int(now / SLOT_SECONDS)
        if not self._slots or self._slots[-1][0] != number:
            self._slots.append([number, 0, 0])
        return self._slots[-1]
