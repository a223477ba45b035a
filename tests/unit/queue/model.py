"""What the account's scripts promise, written a second time, plainly, and without Redis.

Times are Redis's own: epoch microseconds. The model is told the moment of each call and of nothing else.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

MINUTE = 60_000_000
DAY_MINUTES = 1440


@dataclass(frozen=True, slots=True)
class Mail:
    id: str
    content: str = ""
    lost: bool = False
    """A worker was lost while it held it."""


@dataclass(slots=True)
class Leased:
    mail: Mail
    lane: str
    ends: float
    minute: int


@dataclass(slots=True)
class Aside:
    at: float
    lane: str
    mail: Mail
    tag: str
    """Under which it was leased."""


@dataclass(slots=True)
class Limits:
    rate: float
    burst: float
    quota: int = -1
    reserve: float = 0.0
    headroom: float = 0.0

    @property
    def interval(self) -> float:
        return 1e6 / (self.rate * (1 - self.headroom))


@dataclass(slots=True)
class Stop:
    """SES lets nothing through; one message at a time finds out whether that is over."""

    probe_at: float
    wait: float = MINUTE
    probe: str = ""


@dataclass(slots=True)
class Request:
    """One call of take, as it goes over the wire."""

    tag: str
    wanted: int
    latest: float
    lease: float
    served: tuple[str, ...]
    suspects: int
    """How many of those whose worker was lost it may be handed."""
    verdicts: list[tuple[str, str, object, object, str]]


@dataclass(slots=True)
class Model:
    """One account. Of a lane's list the last is the head."""

    policies: Mapping[str, str]
    limits: Limits
    lanes: dict[str, list[Mail]] = field(default_factory=dict)
    suspects: dict[str, list[Mail]] = field(default_factory=dict)
    """By lane, those whose worker was lost."""
    suspect_is_next: bool = False
    """The last single place was given to what waits in a lane, though a suspect waited too."""
    leased: dict[str, Leased] = field(default_factory=dict)
    schedule: list[tuple[float, int, str, Mail]] = field(default_factory=list)
    aside: dict[str, dict[str, Aside]] = field(default_factory=lambda: {"dead": {}, "held": {}})
    records: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Verb and id -> lines."""
    keys: dict[str, str] = field(default_factory=dict)
    charges: Counter[int] = field(default_factory=Counter)
    numbered: int = 0
    tat: float = 0.0
    cut: float = 1.0
    refusals: int = 0
    round: float = 0.0
    others: int = 0
    paused: float = 0.0
    paused_lanes: dict[str, float] = field(default_factory=dict)
    others_at: float = 0.0
    doubted: float = 0.0
    stop: Stop | None = None
    ses_allows: bool = True
    limits_at: float = 0.0
    seen: float | None = None
    patient: float = 0.0

    def __post_init__(self) -> None:
        self.lanes = {lane: [] for lane in self.policies}
        self.suspects = {lane: [] for lane in self.policies}

    @property
    def spent(self) -> int:
        return self.charges.total()

    # -- what operators and producers do

    def put(self, lane: str, mail: Mail, due: float = 0.0, key: str = "") -> str:
        if key and key in self.keys:
            return self.keys[key]
        if key:
            self.keys[key] = mail.id
        if due:
            self._schedule(due, lane, mail)
        else:
            self.lanes[lane].insert(0, mail)
        return mail.id

    def allow(self, now: float, limits: Limits, sent: int | None, allows: bool) -> None:
        self.limits, self.ses_allows, self.limits_at = limits, allows, now
        if self.stop and not allows:
            self.stop.probe_at = now
        self._roll(now)
        if sent is None:
            return
        self.others_at = now
        ages = [(now // MINUTE - minute, count) for minute, count in self.charges.items()]
        surely_counted = sum(count for age, count in ages if 5 < age < DAY_MINUTES)
        if now > self.doubted:
            self.others = min(self.others, sent - surely_counted)
        self.others = max(0, self.others, sent - self.spent)

    def pause(self, lane: str | None, until: float) -> None:
        if lane is None:
            self.paused = until
        else:
            self.paused_lanes[lane] = until

    def names(self, place: str) -> list[str]:
        """What lies there, in order: under its name on a shelf, by its id in the schedule."""
        if place == "scheduled":
            return [mail.id for _, _, _, mail in sorted(self.schedule)]
        aside = self.aside[place]
        return sorted(aside, key=lambda name: (aside[name].at, name))

    def requeue(self, place: str, names: list[str], *, first: bool) -> None:
        """``names`` in their order there."""
        taken = self.drop(place, names, "requeue")
        for lane, mail in reversed(taken) if first else taken:
            self.lanes[lane].insert(len(self.lanes[lane]) if first else 0, mail)

    def drop(self, place: str, names: list[str], verb: str = "drop") -> list[tuple[str, Mail]]:
        if place == "scheduled":
            gone = sorted(entry for entry in self.schedule if entry[3].id in names)
            self.schedule = [entry for entry in self.schedule if entry not in gone]
            found = [(lane, mail) for _, _, lane, mail in gone]
        else:
            aside = [self.aside[place].pop(name) for name in names]
            found = [(each.lane, each.mail) for each in aside]
        self._record(verb, [mail for _, mail in found])
        return found

    def drop_from_lane(self, lane: str, count: int) -> int:
        """The suspects first; how many that were."""
        dropped: list[Mail] = []
        for waiting in (self.suspects[lane], self.lanes[lane]):
            kept = max(0, len(waiting) - count + len(dropped))
            dropped += waiting[kept:]
            del waiting[kept:]
        self._record("drop", dropped)
        return len(dropped)

    def _record(self, verb: str, mails: list[Mail]) -> None:
        """What a person did."""
        if self.records:  # the first line is always a worker's
            self.records.update((verb, mail.id) for mail in mails)

    def pass_time(self, by: float) -> None:
        """Everything that is written down becomes so much older."""
        minutes = round(by / MINUTE)
        self.tat, self.doubted, self.patient = self.tat - by, self.doubted - by, self.patient - by
        self.round, self.others_at, self.limits_at = self.round - by, self.others_at - by, self.limits_at - by
        if self.stop:
            self.stop.probe_at -= by
        self.paused -= by
        self.paused_lanes = {lane: until - by for lane, until in self.paused_lanes.items()}
        self.seen = None if self.seen is None else self.seen - by
        self.charges = Counter({minute - minutes: count for minute, count in self.charges.items()})
        self.schedule = [(at - by, number, lane, mail) for at, number, lane, mail in self.schedule]
        for lease in self.leased.values():
            lease.ends -= by
            lease.minute -= minutes

    # -- take

    def take(self, now: float, request: Request) -> list[tuple[str, Mail]]:
        """Lane and mail of each message handed out, in order."""
        wanted = 0 if now > request.latest else request.wanted
        self._roll(now)
        self.cut = 1.0
        # (burst - 1) / 2 permits of slack, and the two that a refusal costs.
        self.tat = min(self.tat, now + (self.limits.burst + 3) / 2 * self.limits.interval)
        for verdict in request.verdicts:
            self._settle(now, *verdict)
        self._reclaim(now, request.lease)
        if now - self.others_at > 60 * MINUTE:
            self.others = 0
        due = sorted(entry for entry in self.schedule if entry[0] <= now)
        self.schedule = [entry for entry in self.schedule if entry[0] > now]
        for _, _, lane, mail in due:
            self._queue_of(lane, mail).insert(0, mail)
        return self._hand_out(now, replace(request, wanted=wanted)) if wanted else []

    def _roll(self, now: float) -> None:
        first = now // MINUTE - DAY_MINUTES - 1
        self.charges = Counter({minute: count for minute, count in self.charges.items() if minute >= first})

    def _hand_out(self, now: float, request: Request) -> list[tuple[str, Mail]]:
        limits, interval = self.limits, self.limits.interval / self.cut
        allowed = self.ses_allows or now - self.limits_at > 5 * MINUTE
        if self.paused > now or (self.stop and (now < self.stop.probe_at or not allowed)):
            return []
        if self.stop:
            request = replace(request, wanted=min(1, request.wanted))
        slack = (limits.burst - 1) / 2 * interval
        permits = max(0, math.floor((now + slack - max(self.tat, now)) / interval) + 1)
        room = math.inf if limits.quota < 0 else limits.quota - self.others - self.spent
        given: list[tuple[str, Mail]] = []
        suspects = request.suspects
        for position, lane in enumerate(self.lanes):
            if lane not in request.served or self.paused_lanes.get(lane, 0.0) > now:
                continue
            reserved = 0.0 if position == 0 or limits.quota < 0 else limits.quota * limits.reserve
            may = min(request.wanted, permits, math.inf if room == math.inf else math.floor(room - reserved))
            for mail in self._pop(lane, may - len(given), suspects):
                suspects -= mail.lost
                given.append((lane, mail))
                tag = f"{request.tag}:{len(given)}"
                self.leased[tag] = Leased(mail, lane, now + request.lease, int(now // MINUTE))
        if given:
            self.tat = max(self.tat, now) + len(given) * interval
            self.charges[int(now // MINUTE)] += len(given)
            if self.stop:
                self.stop.probe, self.stop.probe_at = f"{request.tag}:1", now + self.stop.wait
        return given

    def _pop(self, lane: str, want: float, suspects: int) -> list[Mail]:
        if want < 1:
            return []
        suspect = self.suspects[lane][-1:] if suspects else []
        waiting = self.lanes[lane]
        while waiting and waiting[-1].lost:
            self.suspects[lane].insert(0, waiting.pop())
        chosen: list[Mail] = []
        for mail in waiting[: -int(max(1, want - len(suspect))) - 1 : -1]:
            if mail.lost:
                break
            chosen.append(mail)
        if suspect:
            there_is_room = len(chosen) < want
            if not there_is_room and not self.suspect_is_next:
                suspect = []
            elif not there_is_room:
                chosen = []
            self.suspect_is_next = not suspect
        del self.suspects[lane][len(self.suspects[lane]) - len(suspect) :]
        del waiting[len(waiting) - len(chosen) :]
        return suspect + chosen

    def _queue_of(self, lane: str, mail: Mail) -> list[Mail]:
        return self.suspects[lane] if mail.lost else self.lanes[lane]

    def _reclaim(self, now: float, lease: float) -> None:
        seen = now if self.seen is None else self.seen
        if now - seen > lease / 2:
            self.patient = now + lease / 2
        if now - seen > 0.25e6 or self.seen is None:
            self.seen = now
        if now <= self.patient:
            return
        ended = sorted((each.ends, tag) for tag, each in self.leased.items() if each.ends <= now)[:64]
        for _, tag in ended:
            found = self.leased.pop(tag)
            if self.policies[found.lane] == "resend" and not found.mail.lost:
                self.suspects[found.lane].insert(0, replace(found.mail, lost=True))
                self.records["lost", found.mail.id] += 1
            else:
                self._set_aside(now, "held", tag, found)
                self.records["hold", found.mail.id] += 1

    def _settle(self, now: float, verb: str, tag: str, first: object, _second: object, note: str) -> None:
        found = self.leased.pop(tag, None)
        if found is None:
            if verb == "sent":
                self._late(tag, str(first))
            return
        if verb not in ("back", "unfit", "defer"):
            self.records[verb, found.mail.id] += 1
        if verb not in ("sent", "resend", "hold") and self.charges[found.minute] > 0:
            self.charges[found.minute] -= 1
        if verb in ("forget", "back", "unfit", "defer"):
            self.tat -= self.limits.interval / self.cut
        self._probed(now, verb, tag)
        if verb in ("back", "unfit", "throttled", "over_quota", "stop"):
            self._queue_of(found.lane, found.mail).append(found.mail)
        if verb in ("retry", "resend", "defer"):
            again = replace(found.mail, lost=False)
            self._schedule(float(str(first)) + (0 if verb == "defer" else now), found.lane, again)
        elif verb in ("dead", "hold"):
            self._set_aside(now, "dead" if verb == "dead" else "held", tag, found)
        else:
            self._hinder(now, verb, tag)

    def _probed(self, now: float, verb: str, tag: str) -> None:
        if not self.stop or self.stop.probe != tag:
            return
        if verb in ("forget", "back", "unfit", "defer"):
            self.stop.probe_at = now
        elif verb == "sent":
            self.stop = None

    def _late(self, tag: str, mail_id: str) -> None:
        """SES has it, and its lease is over: it ran out, or this was said before."""
        self.records["sent", mail_id] += 1
        for name in (mail_id, f"{mail_id}~{tag}"):
            if name in self.aside["held"] and self.aside["held"][name].tag == tag:
                del self.aside["held"][name]

    def _hinder(self, now: float, verb: str, tag: str) -> None:
        """What a settlement means for the messages after it."""
        if verb == "throttled":
            self._slow_down(now)
            self.tat = max(self.tat, now + 2 * self.limits.interval / self.cut)
        elif verb == "over_quota" and self.limits.quota >= 0:
            leaving = sum(self.charges[int(now // MINUTE) - DAY_MINUTES - each] for each in (0, 1))
            self.others = max(self.others, self.limits.quota - self.spent + leaving)
            self.others_at, self.doubted = now, now + 5 * MINUTE
        elif verb in ("over_quota", "stop"):
            if not self.stop:
                self.stop = Stop(now + MINUTE)
            elif self.stop.probe == tag:
                self.stop.wait = min(15.0 * MINUTE, 2 * self.stop.wait)
                self.stop.probe_at = now + self.stop.wait

    def _slow_down(self, now: float) -> None:
        if self.cut < 1:
            return
        interval = self.limits.interval
        takes = max(1e6, 30 * interval)
        if now - self.round > 2 * takes:
            self.round, self.refusals = now, 0
        self.refusals += 1
        if now - self.round < takes:
            return
        calls = (now - self.round) / interval
        if self.refusals > 0.06 * calls + 2.5 * math.sqrt(0.06 * calls):
            share = min(0.95, self.refusals / calls)
            self.cut = max(0.05, 1 / 2, 1 - share / (1 - share) - 0.04)
        self.round, self.refusals = now, 0

    def _set_aside(self, now: float, shelf: str, tag: str, found: Leased) -> None:
        name = found.mail.id
        if name in self.aside[shelf]:
            name += f"~{tag}"
        self.aside[shelf][name] = Aside(now, found.lane, found.mail, tag)

    def _schedule(self, at: float, lane: str, mail: Mail) -> None:
        self.numbered += 1
        self.schedule.append((at, self.numbered, lane, mail))

    # -- what must be true

    def references(self) -> dict[str, int]:
        everywhere = [mail for lists in (self.lanes, self.suspects) for lane in lists.values() for mail in lane]
        everywhere += [each.mail for each in self.leased.values()]
        everywhere += [mail for _, _, _, mail in self.schedule]
        everywhere += [each.mail for shelf in self.aside.values() for each in shelf.values()]
        return dict(Counter(mail.content for mail in everywhere if mail.content))
