"""Forecast the time of the next send under the quota, and the time at which all waiting messages are sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mailer.document import Moment

_WINDOWS_AT_ONCE = 3
"""The number of windows that are computed minute by minute. For a longer backlog the last window repeats."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """The account's limits: ``per_second`` recipients, and ``per_day`` in any 24 hours (None: no quota).

    ``charged`` maps a minute since the epoch to our recipients in it. ``by_others`` is the use of others; the forecast
    assumes that it stays the same. ``reserve`` is the fraction of ``per_day`` for urgent mail only. Recipients of
    minute ``m`` count until minute ``m + window_minutes`` has ended.
    """

    per_second: float
    per_day: int | None
    charged: Mapping[int, int]
    by_others: int
    reserve: float
    window_minutes: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """``backlog`` counts the messages in lanes that are not paused, without scheduled mail.

    ``resumes_at`` is the time of the next send: now, unless the quota is used up. ``leaving`` counts the recipients
    that leave the 24-hour window at that time. ``done_at`` is the time at which the backlog is sent, at the present
    rate and quota. A time is None if others' present use of the quota leaves no room, or if SES or a person has stopped
    the account.
    """

    backlog: int
    resumes_at: Moment | None
    leaving: int
    done_at: Moment | None


def foresee(at: float, allowance: Allowance, *, urgent: int, other: int) -> Forecast:
    """The forecast from ``at`` on. ``urgent`` messages may use the reserve, ``other`` messages may not.

    It is accurate to a minute when the quota is the limit, as the window rolls by minutes. It costs a few tens of ms.
    """
    # Without mail, compute when one message could be sent.
    run = _Run(at, allowance, urgent or (0 if other else 1), other)
    run.until_done()
    if run.left and run.spent:
        run.skip_windows()
        run.until_done()
    done_at = run.done_at if urgent + other else None
    return Forecast(urgent + other, run.resumes_at, run.leaving, done_at)


class _Run:
    """The simulation of a forecast, minute by minute."""

    def __init__(self, at: float, allowance: Allowance, urgent: int, other: int) -> None:
        self._allowance = allowance
        self._urgent, self._other = urgent, other
        self._now = at
        self._minute = int(at // 60)
        self._charged = dict(allowance.charged)
        self.spent = sum(self._charged.values())
        """The recipients of the last window."""
        self._permits = 1.0
        self._skipped = 0.0
        self.resumes_at: float | None = None
        self.done_at: float | None = None
        self.leaving = 0

    @property
    def left(self) -> int:
        return self._urgent + self._other

    def until_done(self) -> None:
        for _ in range(_WINDOWS_AT_ONCE * (self._allowance.window_minutes + 1)):
            if not self.left:
                return
            self._pass_minute()

    def skip_windows(self) -> None:
        """Skip whole windows that repeat the last one."""
        windows = self.left // self.spent
        self._skipped += windows * (self._allowance.window_minutes + 1) * 60.0
        sent = windows * self.spent
        self._urgent, self._other = max(0, self._urgent - sent), self._other - max(0, sent - self._urgent)
        if not self.left:
            self.done_at = self._now + self._skipped

    def _pass_minute(self) -> None:
        leaving = self._charged.pop(self._minute - self._allowance.window_minutes - 1, 0)
        self.spent -= leaving
        end = (self._minute + 1) * 60.0
        # Unused permits add up to one minute's at most.
        self._permits = min(
            self._permits + (end - self._now) * self._allowance.per_second,
            max(1.0, 60 * self._allowance.per_second),
        )
        urgent = self._may_send(self._urgent, 0.0)
        other = self._may_send(self._other, self._allowance.reserve, urgent)
        sent = urgent + other
        if sent:
            if self.resumes_at is None:
                self.resumes_at, self.leaving = self._now, leaving
            self._urgent, self._other = self._urgent - urgent, self._other - other
            self._charged[self._minute] = self._charged.get(self._minute, 0) + sent
            self.spent += sent
            self._permits -= sent
            if not self.left:
                self.done_at = self._skipped + min(end, self._now + sent / self._allowance.per_second)
        self._now, self._minute = end, self._minute + 1

    def _may_send(self, wanted: int, reserve: float, already: int = 0) -> int:
        may = min(wanted, int(self._permits) - already)
        if self._allowance.per_day is not None:
            kept = self._allowance.per_day * reserve
            may = min(may, int(self._allowance.per_day - self._allowance.by_others - self.spent - already - kept))
        return max(0, may)
