"""Failures on request: the requests that they strike, and their effects."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from mailer.simulator import errors
from mailer.simulator.latency import Latency

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from random import Random

Kind = Literal[
    "latency",
    "error",
    "reset",
    "close",
    "close-idle",
    "silence",
    "malformed",
    "slow-answer",
    "slow-read",
    "refuse",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
Operation = Literal["send", "account"]
Transport = Literal["http", "smtp"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure.

    ``kind``:

    - ``latency``: the answer takes ``latency`` longer;
    - ``error``: the answer is an SES error: ``error`` names one of ``errors.BY_NAME``, and ``status``, ``code``,
      ``text`` and ``smtp`` (a whole reply line) replace its parts;
    - ``reset``: no answer, the connection is reset (RST);
    - ``close``: no answer, the connection is closed (FIN);
    - ``close-idle``: a good answer, then the connection is closed as SES closes idle ones, unannounced;
    - ``silence``: no answer, the connection stays open (the client's read timeout);
    - ``malformed``: an answer that cannot be read;
    - ``slow-answer``: the answer comes at ``bytes_per_second``;
    - ``slow-read``: the request is read at ``bytes_per_second``, so that a large one fills the client's buffers;
    - ``refuse``: nothing listens (connection refused) for ``seconds``, and idle connections are closed. With
      ``every`` this repeats at that interval, ``count`` times.

    ``when``: ``before`` the message is accepted, or ``after``: SES charges and records it, and then it fails.
    The fault strikes a request with ``probability``, until it has struck ``count`` times (None: no limit). It strikes
    only requests that match ``operation`` (``account`` is every call except a send), ``transport``, ``recipient`` (a
    part of any recipient's address) and ``access_key`` (the key id of an HTTP request's signature, as if only that key
    were refused). None matches any. In a bulk send the fault strikes each entry separately, whatever the key.
    A fault with ``seconds`` is in force for its first ``seconds`` only. With ``every`` it comes into force again each
    ``every`` seconds. This is real time, like all times on the wire.
    """

    kind: Kind
    when: Literal["before", "after"] | None = None
    probability: float = 1.0
    count: int | None = None
    operation: Operation | None = "send"
    transport: Transport | None = None
    recipient: str | None = None
    access_key: str | None = None
    latency: str = "0s"
    error: str = "internal"
    status: int | None = None
    code: str | None = None
    text: str | None = None
    smtp: str | None = None
    seconds: float | None = None
    every: float | None = None
    bytes_per_second: float = 1024.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {self.kind!r}")
        if self.when is None:
            object.__setattr__(self, "when", "before" if self.kind == "error" else "after")
        elif self.when not in {"before", "after"}:
            raise ValueError(f"when must be before or after (the message is accepted), not {self.when!r}")
        if self.kind == "close-idle" and self.when == "before":
            raise ValueError("close-idle comes after a good answer: there is no before")
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"probability must be between 0 and 1, not {self.probability!r}")
        if self.count is not None and self.count < 1:
            raise ValueError(f"count must be at least 1, or left out for no end, not {self.count!r}")
        if self.operation not in {None, "send", "account"}:
            raise ValueError(f"operation must be send, account or null, not {self.operation!r}")
        if self.transport not in {None, "http", "smtp"}:
            raise ValueError(f"transport must be http, smtp or null, not {self.transport!r}")
        Latency.parse(self.latency)
        self._check_answer()
        self._check_times()

    def _check_answer(self) -> None:
        if self.error not in errors.BY_NAME:
            raise ValueError(f"error must be one of {', '.join(errors.BY_NAME)}, not {self.error!r}")
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError(f"status must be one of an answer, 200 to 599, not {self.status!r}")
        line = f"{self.code or ''}{self.smtp or ''}"
        if not (line.isascii() and line.isprintable()):
            raise ValueError("code and smtp are one line of ASCII")

    def _check_times(self) -> None:
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise ValueError(f"seconds must be above 0, or left out for no end, not {self.seconds!r}")
        if self.every is not None and not (self.seconds is not None and self.seconds < self.every < math.inf):
            raise ValueError("every is longer than the seconds that it is in force")
        if self.kind == "refuse" and self.seconds is None:
            # The control API is on the same port.
            raise ValueError("refuse needs seconds: nobody could end it otherwise")
        if self.kind == "refuse" and self.count is not None and self.every is None:
            raise ValueError("refuse takes a count only with every: of outages, not of connections")
        if not 1 <= self.bytes_per_second < math.inf:
            raise ValueError(f"bytes_per_second must be at least 1, not {self.bytes_per_second!r}")
        if self.kind in _BEFORE_READING and (self.recipient is not None or self.access_key is not None):
            raise ValueError(f"{self.kind} cannot know the recipient yet, nor the key")

    @classmethod
    def from_json(cls, value: object) -> Fault:
        """Make a fault from its JSON object (the field names above). Raises ``ValueError`` with the reason."""
        if not isinstance(value, dict) or "kind" not in value:
            raise ValueError('a fault is an object with at least a "kind"')
        unknown = set(value) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"a fault has no {', '.join(sorted(map(str, unknown)))}")
        for name, kinds in _FIELD_TYPES.items():
            if name in value and not isinstance(value[name], kinds):
                raise ValueError(f"{name} cannot be {value[name]!r}")
        return cls(**value)

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Parse a flag: ``KIND[,field=value...]``, as in ``reset,when=after,probability=0.1,count=3``."""
        kind, *pairs = text.split(",")
        value: dict[str, Any] = {"kind": kind.strip()}
        for pair in pairs:
            name, equals, given = pair.partition("=")
            name = name.strip()
            if not equals:
                raise ValueError(f"{pair!r} in {text!r} is not a field=value")
            if name in {"count", "status"}:
                value[name] = int(given)
            elif name in {"probability", "seconds", "every", "bytes_per_second"}:
                value[name] = float(given)
            else:
                value[name] = None if given == "any" else given
        return cls.from_json(value)

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}

    def answer(self, region: str, wall: float) -> errors.SesError:
        """The answer of an ``error`` fault. ``wall`` is SES's time of day."""
        error = errors.named(self.error, region, wall)
        return replace(
            error,
            status=self.status or error.status,
            code=self.code or error.code,
            text=error.text if self.text is None else self.text,
            v1=self.code or error.v1,
            v1_text=error.v1_text if self.text is None else "",
            smtp=self.smtp or error.smtp,
        )


_BEFORE_READING = frozenset({"slow-read", "refuse"})
_FIELD_TYPES: dict[str, tuple[type, ...]] = {
    "kind": (str,),
    "when": (str, type(None)),
    "probability": (int, float),
    "count": (int, type(None)),
    "operation": (str, type(None)),
    "transport": (str, type(None)),
    "recipient": (str, type(None)),
    "access_key": (str, type(None)),
    "latency": (str,),
    "error": (str,),
    "status": (int, type(None)),
    "code": (str, type(None)),
    "text": (str, type(None)),
    "smtp": (str, type(None)),
    "seconds": (int, float, type(None)),
    "every": (int, float, type(None)),
    "bytes_per_second": (int, float),
}


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

    __slots__ = ("fault", "latency", "left", "since")

    def __init__(self, fault: Fault, since: float) -> None:
        self.fault = fault
        self.left = fault.count
        self.latency = Latency.parse(fault.latency)
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
        return (replace(armed.fault, count=armed.left) for armed in self._armed)

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
            if fault.kind in _BEFORE_READING or (chosen is not None and fault.kind != "latency"):
                continue
            if not _matches(fault, operation, transport, recipients, access_key) or not self._strikes(armed, now):
                continue
            if fault.kind == "latency":
                self.struck["latency"] += 1
                delay += armed.latency.sample(self._random)
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
