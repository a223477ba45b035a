"""The state of an account as Redis has it: one snapshot, read in one round trip, that changes nothing.

`AccountStatus.to_json` is what ``mailer status --json`` prints; its fields are documented at the classes below and only
ever added to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import redis

from mailer.operations.forecast import Allowance, Forecast, foresee
from mailer.queue import wish
from mailer.queue.keys import Keys
from mailer.queue.number import number_or
from mailer.queue.status import status
from mailer.queue.wish import Difference, Wish
from mailer.ses.remedies import remedy
from mailer.settings import Settings


@dataclass(frozen=True, slots=True)
class PersonsRate:
    """A person wants ``per_second`` for all hosts, whatever their settings say: since ``at``, until ``until`` (None:
    until it is reset)."""

    per_second: float
    by: str | None
    reason: str | None
    at: float
    until: float | None


@dataclass(frozen=True, slots=True)
class Rate:
    """``per_second`` is the account's rate in recipients per second, None until a worker has written it down.

    ``headroom`` is the fraction left to others, ``cut`` the fraction in force after SES refused a send as too fast
    (1: not cut), ``allowed_per_second`` what comes of the three. ``source`` says whose rate it is: ``person``
    (``person`` says more), ``settings`` (of the host ``source_host``) or ``ses``. ``ses_per_second`` is what SES allows
    by its last answer, at ``read_at``; both None where it was never asked.
    """

    per_second: float | None
    headroom: float
    cut: float
    allowed_per_second: float | None
    source: str | None
    read_at: float | None
    source_host: str | None
    ses_per_second: float | None
    person: PersonsRate | None


@dataclass(frozen=True, slots=True)
class Quota:
    """``per_day`` is recipients per rolling 24 hours: None for no quota, or not known yet.

    ``used`` is ``by_mailer`` (charged at the take, given back if SES did not accept) and ``by_others`` (what SES
    counted beyond that); ``left`` is None without a quota. ``reserve`` is the fraction of the quota that only the most
    urgent lane may use.
    """

    per_day: int | None
    used: int
    by_mailer: int
    by_others: int
    left: int | None
    reserve: float

    @property
    def used_up(self) -> str:
        """How one says that nothing more can be sent for it."""
        return f"the quota is used up{' but for its reserve' if self.left else ''}"


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """``waiting`` messages are in the lane; ``paused`` is the reason if a person paused it, ``paused_by`` who did, and
    ``paused_until`` when it ends by itself (None: when it is resumed). ``suspects`` of those that wait were in the
    hands of a worker that was lost: each worker is handed one of them at a time, and the others pass them.
    ``unserved_since`` is when a worker that serves the lane was last heard of, where that is too long ago; 0 if never.
    ``oldest_at`` is when its producer wrote the message that leaves the lane next, where that says so.
    """

    name: str
    waiting: int
    paused: str | None
    paused_by: str | None
    paused_until: float | None
    suspects: int = 0
    unserved_since: float | None = None
    oldest_at: float | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """SES takes nothing, ``reason`` is its words. ``next_check_at`` is when the workers find out next whether that is
    over: with one message, or by asking GetAccount while that is what said so.
    """

    reason: str
    since: float
    next_check_at: float


@dataclass(frozen=True, slots=True)
class RestingHost:
    """A worker that cannot send from its host since ``since``, and last tried at ``tried_at``. ``why`` is the code and
    SES's words, ``remedy`` what to do on that host. It goes on trying by itself, with one message now and then.
    """

    worker: str
    since: float
    tried_at: float
    why: str
    remedy: str

    @property
    def host(self) -> str:
        """Of a worker ``name@host``."""
        return self.worker.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """All times are epoch seconds by Redis's clock.

    ``state`` is ``sending``, ``paused`` (until it is resumed, or ``until``), ``stopped`` (by SES, until what ``stop``
    says is mended), ``parked`` (by the quota, until ``until``), ``resting`` (no worker can send from its host),
    ``unserved`` (no worker serves any of the lanes in which mail waits) or ``unknown`` (no worker has written the
    account's limits yet); ``reason`` is why. ``paused_by`` is the person who
    paused it. ``lanes`` are most urgent first.
    ``in_flight`` messages are leased to workers; ``overdue`` of these are past their lease and are reclaimed by the
    next take of any worker: none while workers are given time after a silence of Redis. ``scheduled`` messages join
    their lane when due, the first at ``next_due_at``. ``dead`` are dead letters, ``held`` wait for a person or an
    event of SES to say whether they were sent. ``forecast`` is None where nothing can be foretold: in any state but
    sending and parked. ``hosts`` are the workers that cannot send, each for a reason of its own host; others go on
    sending. ``settings`` are those of the workers' hosts that concern the account, ``differences`` those that are not
    the same on all of them.
    """

    account: str
    at: float
    state: str
    reason: str | None
    until: float | None
    rate: Rate
    quota: Quota
    lanes: tuple[LaneStatus, ...]
    in_flight: int
    overdue: int
    scheduled: int
    next_due_at: float | None
    dead: int
    held: int
    paused_by: str | None
    stop: Stop | None
    forecast: Forecast | None
    hosts: tuple[RestingHost, ...]
    settings: tuple[Wish, ...]
    differences: tuple[Difference, ...]

    @property
    def waiting(self) -> int:
        return sum(lane.waiting for lane in self.lanes)

    def to_json(self) -> dict[str, Any]:
        """Plain values, in the order of the fields."""
        return asdict(self)


def read_status(client: redis.Redis, settings: Settings) -> AccountStatus:
    """Take the snapshot. Raises redis-py's errors, and QueueUnavailable that names a key that is of another type."""
    found = status(client, Keys.of(settings), settings)
    at = float(found["now"]) / 1e6
    rate, quota, stop, hosts = _rate(found), _quota(found["quota"]), _stop(found["stop"]), _hosts(found["hosts"])
    lanes = tuple(map(_lane, found["lanes"]))
    paused, paused_by, paused_until = found["paused"]
    wishes = wish.read(found["settings"])
    forecast = None
    if not paused and stop is None and rate.allowed_per_second is not None:
        forecast = _forecast(at, rate.allowed_per_second, quota, found, lanes)
    if paused:
        state, reason, until = "paused", paused, _seconds(paused_until)
    else:
        state, reason, until = _state(found, at, stop, quota, forecast)
    if state in ("sending", "parked") and (idle := _if_all_rest(found, hosts)) is not None:
        state, reason, until, forecast = "resting", f"no host can send. {idle.host}: {idle.why}", None, None
    waiting = [lane for lane in lanes if lane.waiting and lane.paused is None]
    if state == "sending" and waiting and all(lane.unserved_since is not None for lane in waiting):
        names = ", ".join(lane.name for lane in waiting)
        state, reason, until, forecast = "unserved", f"no worker serves {names}", None, None
    return AccountStatus(
        account=settings.account,
        at=at,
        state=state,
        reason=reason,
        until=until,
        rate=rate,
        quota=quota,
        lanes=lanes,
        in_flight=found["in_flight"],
        overdue=found["overdue"],
        scheduled=found["scheduled"],
        next_due_at=_seconds(found["next_due"]),
        dead=found["dead"],
        held=found["held"],
        paused_by=paused_by or None if paused else None,
        stop=stop,
        forecast=forecast,
        hosts=hosts,
        settings=wishes,
        differences=wish.differences(wishes),
    )


def _seconds(us: str) -> float | None:
    return float(us) / 1e6 if us else None


def _number(text: str) -> float | None:
    return float(text) if text else None


def _whole(text: str) -> int:
    return int(number_or(0, text))


def _lane(found: Sequence[Any]) -> LaneStatus:
    name, waiting, suspects, unserved_since, accepted_ms, paused, by, until = found
    return LaneStatus(
        name,
        int(waiting),
        paused=paused or None,
        paused_by=by or None,
        paused_until=_seconds(until),
        suspects=int(suspects),
        unserved_since=_seconds(unserved_since),
        oldest_at=float(accepted_ms) / 1000 if accepted_ms else None,
    )


def _stop(found: Sequence[str]) -> Stop | None:
    if not found:
        return None
    reason, since, next_check = found
    return Stop(reason, _seconds(since) or 0.0, float(next_check) / 1e6)


def _hosts(found: Iterable[Sequence[str]]) -> tuple[RestingHost, ...]:
    """Those that cannot send, by name."""
    return tuple(
        RestingHost(worker, float(since) / 1e6, float(tried) / 1e6, why, remedy(why))
        for worker, since, tried, why, _ in sorted(map(tuple, found))
    )


def _if_all_rest(found: Mapping[str, Any], hosts: tuple[RestingHost, ...]) -> RestingHost | None:
    """One of those that rest, if all processes that live do. Who has not tried for long may be gone."""
    processes = Counter(wish.host_of(process) for process, _, _ in found["settings"])
    trying = {worker for worker, *_, is_trying in found["hosts"] if is_trying}
    resting = [each for each in hosts if each.worker in trying and each.host in processes]
    return resting[0] if processes and Counter(each.host for each in resting) >= processes else None


def _forecast(
    at: float, per_second: float, quota: Quota, found: Mapping[str, Any], lanes: tuple[LaneStatus, ...]
) -> Forecast:
    numbers, window = found["charged"], int(found["quota"][-1])
    charged = dict(zip(numbers[::2], numbers[1::2], strict=True))
    allowance = Allowance(per_second, quota.per_day, charged, quota.by_others, quota.reserve, window)
    waiting = [0 if lane.paused is not None or lane.unserved_since is not None else lane.waiting for lane in lanes]
    return foresee(at, allowance, urgent=waiting[0], other=sum(waiting[1:]))


def _state(
    found: Mapping[str, Any], at: float, stop: Stop | None, quota: Quota, forecast: Forecast | None
) -> tuple[str, str | None, float | None]:
    if stop is not None:
        return "stopped", stop.reason, None
    if forecast is None:
        if why := found["unanswered"]:
            return "unknown", f"SES has told nobody the account's limits. {why}", None
        return "unknown", "No worker has read the account's limits yet (start one, or see its log)", None
    if forecast.resumes_at is None or forecast.resumes_at > at:
        reason = found["over_quota"] if quota.by_others and not quota.left else None
        return "parked", reason or quota.used_up, forecast.resumes_at
    return "sending", None, None


def _rate(found: Mapping[str, Any]) -> Rate:
    per_second, headroom, cut, allowed, source, read_at, source_host, ses = found["rate"]
    person = None
    if found["person"]:
        wanted, by, reason, since, until = found["person"]
        person = PersonsRate(float(wanted), by or None, reason or None, _seconds(since) or 0.0, _seconds(until))
    return Rate(
        per_second=_number(per_second),
        headroom=float(headroom),
        cut=round(float(cut), 4),
        allowed_per_second=float(f"{float(allowed):.6g}") if allowed else None,
        source=(source or None) if person is None else "person",
        read_at=_seconds(read_at),
        source_host=source_host or None if person is None else None,
        ses_per_second=_number(ses),
        person=person,
    )


def _quota(found: Sequence[str]) -> Quota:
    per_day, by_mailer, by_others, left, reserve, _ = found
    return Quota(
        per_day=_whole(per_day) if per_day else None,
        used=_whole(by_mailer) + _whole(by_others),
        by_mailer=_whole(by_mailer),
        by_others=_whole(by_others),
        left=_whole(left) if left else None,
        reserve=float(reserve),
    )
