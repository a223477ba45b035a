"""The state of an account in Redis: one snapshot, read in one round trip. Reading it changes nothing.

``mailer status --json`` prints an `AccountStatus`. The classes below document its fields. Later versions only add
fields. A `Moment` is epoch seconds on Redis's clock here, and ISO 8601 in JSON.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from mailer.document import Moment
from mailer.operations.forecast import Allowance, Forecast, foresee
from mailer.queue import limits
from mailer.queue.keys import Keys
from mailer.queue.limits import Difference, HostSettings
from mailer.queue.number import number_or
from mailer.queue.status import status
from mailer.ses.remedies import remedy
from mailer.settings import Settings


@dataclass(frozen=True, slots=True)
class PersonsRate:
    """The rate ``per_second`` that a person has set for all hosts. It overrides their settings from ``at`` until
    ``until`` (None: until a person resets it)."""

    per_second: float
    by: str | None
    reason: str | None
    at: Moment
    until: Moment | None


@dataclass(frozen=True, slots=True)
class Rate:
    """``per_second`` is the account's rate in recipients per second, None until a worker has written it.

    ``headroom`` is the fraction that is left to others. ``cut`` is the fraction in force after SES refused a send as
    too fast (1: not cut). ``allowed_per_second`` results from these three. ``source`` is the source of the rate:
    ``person`` (details in ``person``), ``settings`` (of the host ``source_host``) or ``ses``. ``ses_per_second`` is
    SES's rate by its last answer, at ``read_at``. Both are None where SES was never asked.
    """

    per_second: float | None
    headroom: float
    cut: float
    allowed_per_second: float | None
    source: str | None
    read_at: Moment | None
    source_host: str | None
    ses_per_second: float | None
    person: PersonsRate | None


@dataclass(frozen=True, slots=True)
class Quota:
    """``per_day`` is recipients per rolling 24 hours. None means no quota, or not known yet.

    ``used`` is the sum of ``by_mailer`` (charged at the take, returned if SES did not accept) and ``by_others`` (SES's
    count beyond that). ``left`` is None without a quota. ``reserve`` is the fraction of the quota that only the most
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
        """The words for people where the quota stops the sending."""
        return f"the quota is used up{' but for its reserve' if self.left else ''}"


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """``waiting`` counts the messages in the lane. ``paused`` is the reason of a person's pause, ``paused_by`` the
    person, and ``paused_until`` its end (None: until it is resumed).

    ``suspects`` counts the waiting messages that a lost worker held. Each worker gets one suspect at a time, and other
    messages overtake suspects. ``unserved_since`` is set where no worker has served the lane for too long: the time of
    the last sign of such a worker, the epoch for never. ``oldest_at`` is when a producer wrote the next
    message of the lane, if the message has that time.
    """

    name: str
    waiting: int
    paused: str | None
    paused_by: str | None
    paused_until: Moment | None
    suspects: int = 0
    unserved_since: Moment | None = None
    oldest_at: Moment | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """SES accepts no mail. ``reason`` is SES's words. ``next_check_at`` is the time of the workers' next check. They
    send one message, or call GetAccount if GetAccount reported the stop.
    """

    reason: str
    since: Moment
    next_check_at: Moment


@dataclass(frozen=True, slots=True)
class RestingHost:
    """A worker that cannot send from its host since ``since`` and last tried at ``tried_at``. ``why`` is the code and
    SES's words. ``remedy`` is for a person on that host. The worker continues to try, with one message now and then.
    """

    worker: str
    since: Moment
    tried_at: Moment
    why: str
    remedy: str

    @property
    def host(self) -> str:
        """The host in the worker's name ``name@host``."""
        return self.worker.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """``state`` is one of the following, and ``reason`` gives its cause:

    - ``sending``
    - ``paused``: by the person ``paused_by``, until it is resumed or until ``until``
    - ``stopped``: by SES, until a person mends the cause in ``stop``
    - ``parked``: by the quota, until ``until``
    - ``resting``: no worker can send from its host
    - ``unserved``: no worker serves any of the lanes in which mail waits
    - ``unknown``: no worker has written the account's limits yet

    ``lanes`` are most urgent first. ``in_flight`` counts the messages that are leased to workers. ``overdue`` counts
    those whose lease is over; the next take of any worker reclaims them. It is 0 in the extra time that workers get
    after a silence of Redis. ``scheduled`` counts messages that join their lane when due, the first at ``next_due_at``.
    ``dead`` counts the dead letters. ``held`` counts messages for which a person or an event of SES must decide whether
    they were sent.

    ``forecast`` is None in any state but sending and parked. ``hosts`` are the workers that cannot send for a reason of
    their own host, while others continue. ``settings`` are the settings of the workers' hosts that concern the account.
    ``differences`` are those that are not the same on all hosts.
    """

    account: str
    at: Moment
    state: str
    reason: str | None
    until: Moment | None
    rate: Rate
    quota: Quota
    lanes: tuple[LaneStatus, ...]
    in_flight: int
    overdue: int
    scheduled: int
    next_due_at: Moment | None
    dead: int
    held: int
    paused_by: str | None
    stop: Stop | None
    forecast: Forecast | None
    hosts: tuple[RestingHost, ...]
    settings: tuple[HostSettings, ...]
    differences: tuple[Difference, ...]

    @property
    def waiting(self) -> int:
        return sum(lane.waiting for lane in self.lanes)


def read_status(client: redis.Redis, settings: Settings) -> AccountStatus:
    """Take the snapshot. Raises redis-py's errors, and QueueUnavailable with the name of a key of a wrong type."""
    found = status(client, Keys.of(settings), settings)
    at = float(found["now"]) / 1e6
    rate, quota, stop = _rate(found), _quota(found["quota"]), _stop(found["stop"])
    lanes, hosts = tuple(map(_lane, found["lanes"])), _hosts(found["hosts"])
    state, reason, until, forecast = _state(found, at, rate, quota, stop, hosts, lanes)
    settings_of_hosts = limits.read_settings(found["settings"])
    return AccountStatus(
        account=settings.account,
        at=at,
        state=state,
        reason=reason,
        until=until,
        rate=rate,
        quota=quota,
        lanes=lanes,
        **{count: found[count] for count in ("in_flight", "overdue", "scheduled", "dead", "held")},
        next_due_at=_seconds(found["next_due"]),
        paused_by=(found["paused"][1] or None) if state == "paused" else None,
        stop=stop,
        forecast=forecast,
        hosts=hosts,
        settings=settings_of_hosts,
        differences=limits.differences(settings_of_hosts),
    )


def _seconds(us: str) -> float | None:
    return float(us) / 1e6 if us else None


def _number(text: str) -> float | None:
    return float(text) if text else None


def _whole(text: str) -> int:
    return int(number_or(0, text))


def _lane(found: Sequence[Any]) -> LaneStatus:
    name, waiting, suspects, unserved_since, accepted_ms, paused, by, until = found
    oldest_at = float(accepted_ms) / 1000 if accepted_ms else None
    pause = paused or None, by or None, _seconds(until)
    return LaneStatus(name, int(waiting), *pause, int(suspects), _seconds(unserved_since), oldest_at)


def _stop(found: Sequence[str]) -> Stop | None:
    if not found:
        return None
    reason, since, next_check = found
    return Stop(reason, _seconds(since) or 0.0, float(next_check) / 1e6)


def _hosts(found: Iterable[Sequence[str]]) -> tuple[RestingHost, ...]:
    """The workers that cannot send, sorted by name."""
    return tuple(
        RestingHost(worker, float(since) / 1e6, float(tried) / 1e6, why, remedy(why))
        for worker, since, tried, why, _ in sorted(map(tuple, found))
    )


def _state(
    found: Mapping[str, Any],
    at: float,
    rate: Rate,
    quota: Quota,
    stop: Stop | None,
    hosts: tuple[RestingHost, ...],
    lanes: tuple[LaneStatus, ...],
) -> tuple[str, str | None, float | None, Forecast | None]:
    """The state, its reason, its end and the forecast, as `AccountStatus` documents them."""
    paused, _, until = found["paused"]
    if paused:
        return "paused", paused, _seconds(until), None
    if stop is not None:
        return "stopped", stop.reason, None, None
    if rate.allowed_per_second is None:
        if why := found["unanswered"]:
            return "unknown", f"SES has told nobody the account's limits. {why}", None, None
        return "unknown", "No worker has read the account's limits yet (start one, or see its log)", None, None
    if (idle := _if_all_rest(found, hosts)) is not None:
        return "resting", f"no host can send. {idle.host}: {idle.why}", None, None
    forecast = _forecast(at, rate.allowed_per_second, quota, found, lanes)
    if forecast.resumes_at is None or forecast.resumes_at > at:
        refused = found["over_quota"] if quota.by_others and not quota.left else None
        return "parked", refused or quota.used_up, forecast.resumes_at, forecast
    waiting = [lane for lane in lanes if lane.waiting and lane.paused is None]
    if waiting and all(lane.unserved_since is not None for lane in waiting):
        return "unserved", f"no worker serves {', '.join(lane.name for lane in waiting)}", None, None
    return "sending", None, None, forecast


def _if_all_rest(found: Mapping[str, Any], hosts: tuple[RestingHost, ...]) -> RestingHost | None:
    """A resting worker if all living processes rest, else None. A worker that has not tried for long may be gone."""
    processes = Counter(limits.host_of(process) for process, _, _ in found["settings"])
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
