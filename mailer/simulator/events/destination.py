"""A destination of events, as a flag or the control API describes it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from mailer.simulator.events.event import KINDS, NOTIFIED, Format, Kind

if TYPE_CHECKING:
    from mailer.simulator.events.event import Event


_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,256}")
_URL = re.compile(r"[!-~]{1,2000}")
_A_DAY = 86_400.0
_AN_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Destination:
    """One subscription to the events of every message, or of those that ``events`` and ``configuration_set`` name.

    ``kind`` is ``webhook`` (``target`` is its URL) or ``queue`` (``target`` is its name). ``format`` is ``event`` for
    SES's event publishing or ``notification`` for an identity's older notifications. ``raw`` omits the SNS envelope.
    If ``confirm`` is false, a webhook is subscribed at once, without SubscriptionConfirmation. ``announce`` first sends
    the plain text that SES publishes to a new destination. A webhook that fails is tried ``retries`` times more,
    ``retry_seconds`` apart; the defaults are those of SNS.
    """

    kind: Literal["webhook", "queue"]
    target: str
    format: Format = "event"
    raw: bool = False
    signature_version: Literal["1", "2"] = "1"
    events: tuple[Kind, ...] | None = None
    configuration_set: str | None = None
    topic: str = "ses-events"
    confirm: bool = True
    announce: bool = False
    retries: int = 3
    retry_seconds: float = 20.0
    timeout_seconds: float = 15.0

    def __post_init__(self) -> None:
        if self.kind not in {"webhook", "queue"}:
            raise ValueError(f"kind must be webhook or queue, not {self.kind!r}")
        if self.kind == "webhook" and not _is_url(self.target):
            raise ValueError(f"{self.target!r} is not the URL of a webhook")
        if self.kind == "queue" and not (0 < len(self.target) <= 80 and _plain(self.target)):
            raise ValueError(f"{self.target!r} is not the name of a queue: at most 80 letters, digits, - and _")
        if self.format not in {"event", "notification"}:
            raise ValueError(f"format must be event or notification, not {self.format!r}")
        if self.signature_version not in {"1", "2"}:
            raise ValueError(f"signature_version must be 1 or 2, not {self.signature_version!r}")
        if unknown := set(self.events or ()) - set(KINDS):
            raise ValueError(f"events are {', '.join(KINDS)}, not {', '.join(sorted(unknown))}")
        if not _TOPIC.fullmatch(self.topic):
            raise ValueError(f"{self.topic[:100]!r} is not the name of a topic: at most 256 letters, digits, - and _")
        paces = 0 <= self.retry_seconds <= _A_DAY and 0 < self.timeout_seconds <= _AN_HOUR
        if not (paces and 0 <= self.retries <= 100):
            raise ValueError("retries are 0 to 100, retry_seconds a day at most, timeout_seconds above 0 and an hour")

    def wants(self, event: Event) -> bool:
        return (
            (self.events is None or event.kind in self.events)
            and (self.format == "event" or event.kind in NOTIFIED)
            and self.configuration_set in {None, event.sending.configuration_set}
        )

    @classmethod
    def parse(cls, kind: Literal["webhook", "queue"], text: str) -> Destination:
        """Parse a flag: ``TARGET[,field=value...]``. ``+`` joins several events."""
        target, *pairs = text.split(",")
        value: dict[str, Any] = {"kind": kind, "target": target.strip()}
        for pair in pairs:
            name, equals, given = (part.strip() for part in pair.partition("="))
            name = name.replace("-", "_")
            if not equals:
                raise ValueError(f"{pair!r} in {text!r} is not a field=value")
            if name in {"raw", "confirm", "announce"}:
                if given not in {"true", "false"}:
                    raise ValueError(f"{name} is true or false, not {given!r}")
                value[name] = given == "true"
            elif name == "retries":
                value[name] = int(given)
            elif name in {"retry_seconds", "timeout_seconds"}:
                value[name] = float(given)
            elif name == "events":
                value[name] = given.split("+")
            else:
                value[name] = given
        return cls.from_json(value)

    @classmethod
    def from_json(cls, value: object) -> Destination:
        if not isinstance(value, dict) or not {"kind", "target"} <= set(value):
            raise ValueError('a destination is an object with at least "kind" and "target"')
        unknown = set(value) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"a destination has no {', '.join(sorted(map(str, unknown)))}")
        for name, given in value.items():
            kinds = _FIELD_TYPES.get(name, (str,))
            if not isinstance(given, kinds) or (isinstance(given, bool) and bool not in kinds):
                raise ValueError(f"{name} cannot be {given!r}")
        if value.get("events") is not None:
            value = {**value, "events": tuple(map(str, value["events"]))}
        return cls(**value)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


_FIELD_TYPES: dict[str, tuple[type, ...]] = {
    "raw": (bool,),
    "confirm": (bool,),
    "announce": (bool,),
    "events": (list, tuple, type(None)),
    "configuration_set": (str, type(None)),
    "retries": (int,),
    "retry_seconds": (int, float),
    "timeout_seconds": (int, float),
}


def _is_url(target: str) -> bool:
    try:
        url = urlsplit(target)
        plain = _URL.fullmatch(target) is not None and "@" not in url.netloc
        return plain and url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:  # an invalid port
        return False


def _plain(name: str) -> bool:
    return name.isascii() and name.replace("-", "").replace("_", "").isalnum()
