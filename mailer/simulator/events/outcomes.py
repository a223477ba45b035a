"""How often ordinary mail bounces, and how long after the call each event comes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from mailer.simulator.latency import Latency

_PROBABILITIES = ("bounce", "soft_bounce", "complaint", "reject", "delay", "repeat")
_TIMES = ("send_after", "delivery_after", "bounce_after", "complaint_after", "delay_after")


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Probabilities from 0 to 1 for each recipient, and times in the form of ``--latency``.

    A recipient has a permanent bounce (``bounce``), a temporary one (``soft_bounce``), or a delivery. ``complaint`` is
    the share of deliveries that lead to a complaint. ``reject`` applies to whole messages, as if they had a virus.
    ``delay`` is the share with a DeliveryDelay before any other event. Mailbox simulator addresses have fixed outcomes.

    ``send_after`` ... count from the acceptance, but ``complaint_after`` counts from the delivery. The event after a
    DeliveryDelay counts from that. These times pass on the account's clock: advance it, and the events come.
    ``repeat`` is how often an event is published twice, as SNS and SQS may do at any time.
    """

    bounce: float = 0.0
    soft_bounce: float = 0.0
    complaint: float = 0.0
    reject: float = 0.0
    delay: float = 0.0
    repeat: float = 0.0
    send_after: str = "0s"
    delivery_after: str = "0s"
    bounce_after: str = "0s"
    complaint_after: str = "0s"
    delay_after: str = "0s"

    def __post_init__(self) -> None:
        for name in _PROBABILITIES:
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be a probability between 0 and 1, not {getattr(self, name)!r}")
        if self.bounce + self.soft_bounce > 1.0:
            raise ValueError("bounce and soft_bounce are parts of the same recipients: together at most 1")
        for name in _TIMES:
            Latency.parse(getattr(self, name))

    @classmethod
    def parse(cls, text: str) -> Outcomes:
        """Parse a flag: ``bounce=0.02,delivery_after=lognormal:2s/0.5``."""
        changes: dict[str, Any] = {}
        for pair in filter(None, text.split(",")):
            name, equals, given = (part.strip() for part in pair.partition("="))
            if not equals:
                raise ValueError(f"{pair!r} in {text!r} is not a name=value")
            changes[name.replace("-", "_")] = float(given) if name in _PROBABILITIES else given
        return cls().changed(changes)

    def changed(self, changes: dict[str, Any]) -> Outcomes:
        """A copy with some fields replaced by JSON values. Raises ``ValueError`` for a wrong one."""
        unknown = set(changes) - {field.name for field in fields(self)}
        if unknown:
            raise ValueError(f"outcomes have no {', '.join(sorted(unknown))}")
        for name, value in changes.items():
            good = type(value) is str if name in _TIMES else type(value) in {int, float}
            if not good:
                raise ValueError(f"{name} cannot be {value!r}")
        return replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
