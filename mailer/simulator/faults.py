"""The faults in force: the requests that they strike, and what is left of them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailer.simulator.fault import BEFORE_READING, Fault, Operation, Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from random import Random


@dataclass(frozen=True, slots=True)
class Strike:
    """The effect of faults on one request: ``delay`` more seconds, and at most one failure, before or after."""

    delay: float = 0.0
    before: Fault | None = None
    after: Fault | None = None
    armed: _Armed | None = None
    """The armed fault behind ``after``, whose count went down."""


_SPARED = Strike()


class _Armed:
    """A fault with the rest of its count and its time."""

    __slots__ = ("fault", "left", "since")

    def __init__(self, fault: Fault, since: float) -> None:
        self.fault = fault
        self.left = fault.count
        self.since = since

    def is_over(self, now: float) -> bool:
        if self.left == 0:
            return True
        seconds, every = self.fault.seconds, self.fault.every
        if seconds is None:
            return False
        if every is None:
            return now >= self.since + seconds
        # For an outage, ``count`` counts outages. For any other kind it counts strikes.
        times = self.fault.count if self.fault.kind == "refuse" else None
        return times is not None and now >= self.since + (times - 1) * every + seconds

    def is_in_force(self, now: float) -> bool:
        seconds, every = self.fault.seconds, self.fault.every
        if seconds is None:
            return True
        passed = now - self.since
        return (passed if every is None else passed % every) < seconds


class Faults:
    """The faults in force. Delays add up. Of the other kinds, the first that strikes wins."""

    def __init__(self, faults: Iterable[Fault], random: Random, clock: Callable[[], float] = time.monotonic) -> None:
        self._random = random
        self._clock = clock
        self.struck: Counter[str] = Counter()
        """How often each kind struck. The keys look like ``reset-after`` or ``latency``."""
        self.changed = asyncio.Event()
        """Set when a request changes the faults in force, and not when a fault runs out. Whoever keeps the outages
        clears it, applies the change, and sets ``settled``."""
        self.settled = asyncio.Event()
        self.replace(faults)

    def __iter__(self) -> Iterator[Fault]:
        self._forget_what_is_over(self._clock())
        return (armed.fault.model_copy(update={"count": armed.left}) for armed in self._armed)

    def replace(self, faults: Iterable[Fault]) -> None:
        self._armed: list[_Armed] = []
        self.add(faults)

    def add(self, faults: Iterable[Fault]) -> None:
        now = self._clock()
        self._armed += [_Armed(fault, now) for fault in faults]
        self.settled.clear()
        self.changed.set()

    def strike(
        self, operation: Operation, transport: Transport, recipients: Sequence[str] = (), access_key: str = ""
    ) -> Strike:
        """Decide the effect on a request, and count it."""
        if not self._armed:
            return _SPARED
        now = self._clock()
        self._forget_what_is_over(now)
        delay = 0.0
        chosen: Fault | None = None
        source: _Armed | None = None
        for armed in list(self._armed):
            fault = armed.fault
            if fault.kind in BEFORE_READING or (chosen is not None and fault.kind != "latency"):
                continue
            if not _matches(fault, operation, transport, recipients, access_key) or not self._strikes(armed, now):
                continue
            if fault.kind == "latency":
                self.struck["latency"] += 1
                delay += fault.latency.sample(self._random)
            else:
                self.struck[f"{fault.kind}-{fault.when}"] += 1
                chosen, source = fault, armed
        if chosen is not None and chosen.when == "before":
            return Strike(delay, before=chosen)
        return Strike(delay, after=chosen, armed=source)

    def take_back(self, strike: Strike) -> None:
        """Undo the count of an ``after`` fault that never happens, because SES itself refused the request."""
        if strike.after is None or strike.armed is None:
            return
        name = f"{strike.after.kind}-{strike.after.when}"
        self.struck[name] -= 1
        self.struck += Counter()  # drops the zeros
        if strike.armed.left is not None:
            strike.armed.left += 1

    @property
    def are_any(self) -> bool:
        return bool(self._armed)

    def slow_read(self, operation: Operation, transport: Transport) -> float | None:
        """The pace, in bytes per second, of reading the request that begins to arrive. None: full speed."""
        now = self._clock()
        for armed in list(self._armed):
            fault = armed.fault
            if fault.kind == "slow-read" and _matches(fault, operation, transport, ()) and self._strikes(armed, now):
                self.struck["slow-read"] += 1
                return fault.bytes_per_second
        return None

    def refused(self, transport: Transport) -> bool | None:
        """Whether the port must refuse connections now. None if no outage is planned either."""
        now = self._clock()
        self._forget_what_is_over(now)
        planned = [
            armed
            for armed in self._armed
            if armed.fault.kind == "refuse" and armed.fault.transport in {None, transport}
        ]
        return any(armed.is_in_force(now) for armed in planned) if planned else None

    def _strikes(self, armed: _Armed, now: float) -> bool:
        """Whether a matching fault strikes this time. Reduces its count."""
        fault = armed.fault
        if armed.left == 0 or not armed.is_in_force(now):
            return False
        if fault.probability < 1.0 and self._random.random() >= fault.probability:
            return False
        if armed.left is not None:
            armed.left -= 1
        return True

    def _forget_what_is_over(self, now: float) -> None:
        self._armed = [armed for armed in self._armed if not armed.is_over(now)]


def _matches(
    fault: Fault, operation: Operation, transport: Transport, recipients: Sequence[str], access_key: str = ""
) -> bool:
    return (
        fault.operation in {None, operation}
        and fault.transport in {None, transport}
        and fault.access_key in {None, access_key}
        and (fault.recipient is None or any(fault.recipient in recipient for recipient in recipients))
    )
