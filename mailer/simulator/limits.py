"""The two limits of an SES account: a token bucket with debt, and a rolling 24-hour window.

Neither reads a clock. Every method takes ``now`` in epoch seconds, and ``now`` must not run backwards.
"""

from __future__ import annotations

from array import array

DAY = 24 * 60 * 60.0
"""How many seconds a sent recipient counts against the quota."""

# Epoch seconds in a float have steps of a quarter of a microsecond. A client that paces exactly at the limit may
# arrive early by that much.
_EARLY_SECONDS = 1e-6


class TokenBucket:
    """Recipients per second, with debt (SES: "if you have any emails left ... you can send to multiple recipients").

    The bucket admits a call if it holds at least one whole token. The call then costs one token per recipient, even
    into the negative. For example, a full bucket has one token and fills at 1/s: a call with five recipients leads to
    five seconds of refusals. Refusals cost nothing.
    """

    def __init__(self, rate: float, capacity: float, now: float) -> None:
        self._rate = rate
        self._capacity = capacity
        self._tokens = capacity
        self._filled_at = now

    @property
    def capacity(self) -> float:
        return self._capacity

    def tokens(self, now: float) -> float:
        """The tokens in the bucket at ``now``. Negative while it is in debt."""
        if now > self._filled_at:
            self._tokens = min(self._capacity, self._tokens + (now - self._filled_at) * self._rate)
            self._filled_at = now
        return self._tokens

    def admits(self, now: float) -> bool:
        return self.tokens(now) >= 1.0 - self._rate * _EARLY_SECONDS

    def spend(self, recipients: int) -> None:
        self._tokens -= recipients

    def reshape(self, rate: float, capacity: float, now: float) -> None:
        """Change rate and capacity from ``now`` on. Time before ``now`` counts at the old rate.

        A bucket that was full stays full, so that a raised limit holds from the first request.
        """
        full = self.tokens(now) >= self._capacity
        self._rate = rate
        self._capacity = capacity
        self._tokens = capacity if full else min(capacity, self._tokens)


class RollingWindow:
    """Counts the recipients sent in the last 24 hours. Each leaves the count exactly 24 hours after its send.

    A send takes sixteen bytes. Beyond ``exact_entries``, each two neighbours merge into the later one, so that memory
    stays bounded. A merged send leaves the count a little late, never early.
    """

    def __init__(self, exact_entries: int = 1_000_000) -> None:
        self._exact_entries = exact_entries
        self.clear()

    def clear(self) -> None:
        self._times = array("d")
        self._counts = array("q")
        self._head = 0
        self._total = 0

    def add(self, now: float, recipients: int) -> None:
        if recipients == 0:
            return
        if len(self._times) - self._head >= self._exact_entries:
            self._merge_neighbours()
        self._times.append(now)
        self._counts.append(recipients)
        self._total += recipients

    def total(self, now: float) -> int:
        """How many recipients were sent in (now - 24 h, now]."""
        horizon = now - DAY
        head, times = self._head, self._times
        while head < len(times) and times[head] <= horizon:
            self._total -= self._counts[head]
            head += 1
        if head > 4096 and head * 2 > len(times):
            del self._times[:head], self._counts[:head]
            head = 0
        self._head = head
        return self._total

    def _merge_neighbours(self) -> None:
        times, counts = self._times[self._head :], self._counts[self._head :]
        if len(times) % 2:
            times.append(times[-1])
            counts.append(0)
        self._times = times[1::2]
        self._counts = array("q", (a + b for a, b in zip(counts[0::2], counts[1::2], strict=True)))
        self._head = 0
