"""The results of the demo, as numbers and as a verdict."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from mailer.testbed.stats import Quantiles


@dataclass(frozen=True, slots=True)
class Figures:
    """``allowed`` and ``achieved`` are recipients per second, ``achieved`` while there was a backlog.

    ``accepted`` messages were enqueued; ``bad_rows`` and ``duplicates`` of the CSV were not. ``lost`` messages were
    accepted but never reached SES, ``doubled`` ones reached it more than once. ``throttled`` is the number of sends
    that SES refused as over a limit. ``urgent`` are the seconds from the call to SES. ``left_running`` is the number of
    processes that outlived the demo.
    """

    allowed: float
    achieved: float
    busiest_second: int
    accepted: int
    sent: int
    bad_rows: int
    duplicates: int
    lost: int
    doubled: int
    throttled: int
    seconds: float
    urgent: Quantiles
    left_running: int = 0

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.throttled or self.left_running)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "good": self.good}

    def lines(self) -> list[tuple[str, str]]:
        """The name and the value of each figure, as text."""
        urgent = self.urgent
        return [
            ("accepted", f"{self.accepted:,} messages, {urgent.count:,} of them urgent"),
            ("sent", f"{self.sent:,} in {self.seconds:.1f} s"),
            ("refused in the CSV", f"{self.bad_rows} bad rows and {self.duplicates} duplicates"),
            ("rate allowed", f"{self.allowed:g} per second"),
            ("rate achieved", f"{self.achieved:.1f} per second, {self.achieved / self.allowed:.1%} of it"),
            ("busiest second", f"{self.busiest_second} sends"),
            ("throttling errors", str(self.throttled)),
            (
                "urgent, enqueue to SES",
                f"half within {milliseconds(urgent.half)}, 99 % within {milliseconds(urgent.ninety_nine)}, "
                f"slowest {milliseconds(urgent.longest)}"
                if urgent.count
                else "none sent",
            ),
            ("lost", str(self.lost)),
            ("doubled", str(self.doubled)),
        ]


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
