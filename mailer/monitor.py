"""The state of an account as Redis has it: one snapshot, read in one round trip, that changes nothing.

`AccountStatus.to_json` is what ``mailer status --json`` prints; its fields are documented at the classes below and only
ever added to.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import redis

from mailer.errors import QueueUnavailable
from mailer.forecast import WINDOW_MINUTES, Allowance, Forecast, foresee
from mailer.queue import wish
from mailer.queue.foreign import foreign_keys
from mailer.queue.keys import Keys
from mailer.queue.number import number_or
from mailer.queue.pause import field_of
from mailer.queue.script import script
from mailer.queue.take import LOWER_PRIORITIES, PRIORITY_SEPARATOR
from mailer.queue.wish import WISH_SECONDS, Difference, Wish
from mailer.ses.remedies import remedy
from mailer.settings import Settings

CUT_RECOVERY_SECONDS = 30.0
"""How long a cut rate takes to recover: the same as in rate.lua."""
CUT_FLOOR = 0.05
"""No rate is cut to less: the same as in rate.lua."""
PROBE_FIRST_SECONDS = 60.0
"""After so long the first probe of a stopped account is due: the same as in stop.lua."""
BELIEVED_SECONDS = 300.0
"""For how long what GetAccount said is believed: the same as in stop.lua."""
HOST_FORGOTTEN_SECONDS = 600.0
"""For how long a worker that cannot send is named, when it has not tried again: the same as in hosts.lua."""
SERVED_STEP_SECONDS = 5.0
"""How often it is written down that a lane is served: the same as in take.lua."""
LIMITS_FRESH_SECONDS = 60.0
"""How often GetAccount is asked: the same as in take.lua."""


_RESTING = re.compile(r"(\d{1,17}) (\d{1,17}) (.*)", re.DOTALL)
"""Of `Keys.hosts`."""


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
    """

    name: str
    waiting: int
    paused: str | None
    paused_by: str | None
    paused_until: float | None
    suspects: int = 0
    unserved_since: float | None = None


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
    keys = Keys.of(settings)
    # The window is counted against Redis's clock, which is only known afterwards: hence whole values here. A minute is
    # one field, so the window has at most 1,441.
    pipe = client.pipeline(transaction=True)
    pipe.time()
    pipe.hgetall(keys.account)
    pipe.hgetall(keys.quota)
    pipe.zcard(keys.leases)
    pipe.eval(script("overdue").text, 1, keys.leases)
    pipe.zcard(keys.schedule)
    pipe.zrange(keys.schedule, 0, 0, withscores=True)
    pipe.hlen(keys.aside("dead"))
    pipe.hlen(keys.aside("held"))
    pipe.hgetall(keys.wishes)
    pipe.hgetall(keys.hosts)
    lists = 2 + len(LOWER_PRIORITIES)
    for lane in settings.lanes:
        for key in (keys.suspects(lane), *_lists(keys.lane(lane))):
            pipe.llen(key)
    try:
        found = pipe.execute()
    except redis.exceptions.ResponseError as error:
        if foreign := foreign_keys(client, keys, settings.lanes):
            raise QueueUnavailable("; ".join(foreign)) from error
        raise
    time, fields, minutes, in_flight, overdue, scheduled, due, dead, held, said, resting, *lengths = found
    at = time[0] + time[1] / 1e6
    account = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in fields.items()}
    # After a silence of Redis workers are given the time to settle. No take gives them more than a lease.
    is_patient = 0 <= _moment(account, "patient") - at <= settings.lease_seconds

    rate, quota = _rate(account, at), _quota(account, minutes, int(at // 60))
    stop, wishes = _stop(account, at), wish.read(said, at)
    lanes = tuple(
        LaneStatus(
            *(lane, sum(lengths[first : first + lists]), *_pause(account, at, lane)),
            suspects=lengths[first],
            unserved_since=_unserved_since(account, at, lane, settings.lease_seconds),
        )
        for first, lane in zip(range(0, len(lengths), lists), settings.lanes, strict=True)
    )
    forecast = None
    if _pause(account, at, None)[0] is None and stop is None and rate.allowed_per_second is not None:
        forecast = _forecast(at, rate.allowed_per_second, quota, _charged(minutes), lanes)
    hosts = _hosts(resting, at)
    state, reason, until = _state(account, at, stop, quota, forecast)
    if state in ("sending", "parked") and (idle := _if_all_rest(hosts, wish.processes(said, at), at)) is not None:
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
        in_flight=in_flight,
        overdue=0 if is_patient else overdue,
        scheduled=scheduled,
        next_due_at=_seconds(due[0][1]) if due else None,
        dead=dead,
        held=held,
        paused_by=_pause(account, at, None)[1],
        stop=stop,
        forecast=forecast,
        hosts=hosts,
        settings=wishes,
        differences=wish.differences(wishes),
    )


def _lists(lane_key: str) -> tuple[str, ...]:
    """The lane's list, and those where stock Celery puts messages of a lower priority until the next take."""
    return (lane_key, *(f"{lane_key}{PRIORITY_SEPARATOR}{step}" for step in LOWER_PRIORITIES))


def _stop(account: dict[str, str], at: float) -> Stop | None:
    if "stopped" not in account:
        return None
    # Nothing lies farther ahead than it is put, as in moment.lua.
    check = min(_moment(account, "probe_at"), at + _moment(account, "probe_wait", PROBE_FIRST_SECONDS))
    limits_at = min(_moment(account, "limits_at"), at)
    if account.get("ses_allows") == "0" and at - limits_at <= BELIEVED_SECONDS:
        check = limits_at + LIMITS_FRESH_SECONDS
    return Stop(account["stopped"], _moment(account, "stopped_at"), max(at, check))


def _moment(account: dict[str, str], name: str, otherwise: float = 0.0) -> float:
    """Epoch seconds; ``otherwise`` where there is none."""
    found = _seconds(account.get(name))
    return otherwise if found is None else found


def _seconds(us: str | float | None) -> float | None:
    found = number_or(None, us)
    return None if found is None else found / 1e6


def _hosts(stored: dict[bytes, bytes], at: float) -> tuple[RestingHost, ...]:
    """Those that cannot send, by name."""
    found = []
    for worker, entry in sorted(stored.items()):
        parts = _RESTING.fullmatch(entry.decode(errors="replace"))
        if parts is not None and abs(at - float(parts[2]) / 1e6) <= HOST_FORGOTTEN_SECONDS:
            since, tried_at, why = min(at, float(parts[1]) / 1e6), float(parts[2]) / 1e6, parts[3]
            found.append(RestingHost(worker.decode(errors="replace"), since, tried_at, why, remedy(why)))
    return tuple(found)


def _if_all_rest(hosts: tuple[RestingHost, ...], processes: Counter[str], at: float) -> RestingHost | None:
    """One of those that rest, if all processes that live do. Who has not tried for long may be gone."""
    resting = [each for each in hosts if at - each.tried_at <= WISH_SECONDS and each.host in processes]
    return resting[0] if processes and Counter(each.host for each in resting) >= processes else None


def _forecast(
    at: float, per_second: float, quota: Quota, charged: dict[int, int], lanes: tuple[LaneStatus, ...]
) -> Forecast:
    allowance = Allowance(per_second, quota.per_day, charged, quota.by_others, quota.reserve)
    waiting = [0 if lane.paused is not None or lane.unserved_since is not None else lane.waiting for lane in lanes]
    return foresee(at, allowance, urgent=waiting[0], other=sum(waiting[1:]))


def _state(
    account: dict[str, str], at: float, stop: Stop | None, quota: Quota, forecast: Forecast | None
) -> tuple[str, str | None, float | None]:
    paused, _, paused_until = _pause(account, at, None)
    if paused is not None:
        return "paused", paused, paused_until
    if stop is not None:
        return "stopped", stop.reason, None
    if forecast is None:
        if why := account.get("unanswered"):
            return "unknown", f"SES has told nobody the account's limits. {why}", None
        return "unknown", "No worker has read the account's limits yet (start one, or see its log)", None
    if forecast.resumes_at is None or forecast.resumes_at > at:
        reason = account.get("over_quota") if quota.by_others and not quota.left else None
        return "parked", reason or quota.used_up, forecast.resumes_at
    return "sending", None, None


def _pause(account: dict[str, str], at: float, lane: str | None) -> tuple[str | None, str | None, float | None]:
    """Why, by whom and until when; what has ended is forgotten at the next take."""
    reason, by, until = (account.get(field_of(name, lane)) for name in ("paused", "paused_by", "paused_until"))
    ends = _seconds(until)
    return (None, None, None) if reason is None or (ends is not None and ends <= at) else (reason, by or None, ends)


def _unserved_since(account: dict[str, str], at: float, lane: str, lease_seconds: float) -> float | None:
    """Workers call four times a lease. Where none has said so much of any lane, nothing is known."""
    if not any(name.startswith("served:") for name in account):
        return None
    last = min(at, _moment(account, f"served:{lane}"))
    return last if at - last > lease_seconds / 2 + SERVED_STEP_SECONDS else None


def _rate(account: dict[str, str], at: float) -> Rate:
    per_second = number_or(None, account.get("rate"))
    if per_second is not None and per_second <= 0:
        per_second = None
    person = _persons_rate(account, at)
    if per_second is not None and person is not None:
        per_second = number_or(per_second, account.get("set_rate"))
    headroom = number_or(0.0, account.get("headroom"))
    since_cut = max(0.0, at - _moment(account, "cut_at"))
    cut_to = min(1.0, max(CUT_FLOOR, number_or(1.0, account.get("cut"))))
    cut = cut_to + (1 - cut_to) * min(1.0, since_cut / CUT_RECOVERY_SECONDS) ** 3
    return Rate(
        per_second=per_second,
        headroom=headroom,
        cut=round(cut, 4),
        allowed_per_second=None if per_second is None else float(f"{per_second * (1 - headroom) * cut:.6g}"),
        source=account.get("source") if person is None else "person",
        read_at=_seconds(account.get("limits_at")),
        source_host=account.get("source_host") or None if person is None else None,
        ses_per_second=number_or(None, account.get("ses_rate")),
        person=person,
    )


def _persons_rate(account: dict[str, str], at: float) -> PersonsRate | None:
    until, holds = _seconds(account.get("set_until")), number_or(None, account.get("set_rate"))
    if holds is None or (until is not None and until <= at):
        return None
    since = _moment(account, "set_at")
    by, reason = account.get("set_by") or None, account.get("set_reason") or None
    return PersonsRate(number_or(holds, account.get("set_wanted")), by, reason, since, until)


def _quota(account: dict[str, str], minutes: dict[bytes, bytes], now: int) -> Quota:
    per_day = int(number_or(-1, account.get("quota")))
    # The tally in `spent` sheds old minutes only at the next take; on an idle account it would be out of date.
    by_mailer = sum(count for minute, count in _charged(minutes).items() if minute >= now - WINDOW_MINUTES)
    by_others = int(number_or(0, account.get("others")))
    used = by_mailer + by_others
    return Quota(
        per_day=per_day if per_day >= 0 else None,
        used=used,
        by_mailer=by_mailer,
        by_others=by_others,
        left=max(0, per_day - used) if per_day >= 0 else None,
        reserve=number_or(0.0, account.get("reserve")),
    )


def _charged(minutes: dict[bytes, bytes]) -> dict[int, int]:
    """Recipients by minute; what says none is left out."""
    found = ((number_or(None, minute), number_or(None, count)) for minute, count in minutes.items())
    return {int(minute): int(count) for minute, count in found if minute is not None and count is not None}
