"""Random sequences of all that can happen to an account, the real Lua against the model, compared after every step.

Time passes by moving what is written in Redis into the past. The model is told the moment of each call by its answer.
``MAILER_TEST_MODEL_STEPS=10000`` asks for that many steps.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import hypothesis
import redis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from mailer.queue import limits
from mailer.queue import pause as pausing
from mailer.queue.keys import Keys
from mailer.queue.leases import Leases
from mailer.queue.limits import SesLimits
from mailer.queue.move import purge
from mailer.queue.queue import Entry, Queue
from mailer.queue.settlement import Settlement
from mailer.queue.shelf import Filter, Shelf, ShelfName
from mailer.queue.take import Answer, Call, Take
from mailer.rules import OnUnknown, Rules
from mailer.settings import load
from mailer.testbed.valkey import Valkey
from ops.soak.passage import pass_time
from tests.support.account import ANY_RATE, LANES, envelope
from tests.unit.queue.model import MINUTE, Limits, Mail, Model, Request

POLICIES: dict[str, OnUnknown] = {"transactional": "resend", "bulk": "hold"}
LEASE_SECONDS = 40 * 60.0
# So short that what is in doubt is settled within a test, so long that a call sent at once arrives in time.
WITHIN_SECONDS = 0.05
RATES = (1 / 60, 1 / 60, 1 / 600, 1 / 3000)
VERBS = (
    *("sent", "forget", "back", "unfit", "throttled", "over_quota", "stop", "retry", "resend", "defer", "dead", "hold"),
    *("sent", "back", "retry"),
)
PLACES: tuple[ShelfName, ...] = ("dead", "held", "scheduled")
STEPS = int(os.environ.get("MAILER_TEST_MODEL_STEPS", "600"))
STEPS_AT_ONCE = 50

_accounts = itertools.count(1)
minutes = st.sampled_from((1, 30, 50, 100, 300, 1500, 3000))
contents = st.sampled_from(("", "a1", "b2", "c3"))
some = st.integers(0, 10_000)


@dataclass(slots=True)
class Worker:
    """A process: its leases, and the calls that it gave up and that may still arrive."""

    leases: Leases = field(default_factory=Leases)
    adrift: list[tuple[Call, tuple[str, ...]]] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    mails: dict[str, str] = field(default_factory=dict)
    """Tag -> the note on its message."""

    def id_of(self, tag: str) -> str:
        return self.mails[tag].partition("\t")[0]


class AccountMachine(RuleBasedStateMachine):
    """One account, its producers, workers and operators."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.settings = load(redis_url=self.url, account=f"model-{next(_accounts)}")
        self.keys = Keys.of(self.settings)
        self.client = redis.Redis.from_url(self.url)
        self.queue = Queue(self.client, self.keys)
        self.take = Take(self.keys, Rules(lanes=LANES, on_unknown=POLICIES, lease_seconds=LEASE_SECONDS))
        self.model = Model(POLICIES, Limits(RATES[0], 50))
        self.names = itertools.count(1)
        self.workers = [Worker(), Worker()]
        self._write_limits(self.model.limits, None)

    def teardown(self) -> None:
        """Nothing stays leased to a worker that lives and does not know of it."""
        for worker in self.workers:
            worker.adrift.clear()
            self._call(worker, 0, LANES)
        deadline = time.monotonic() + 30
        for worker in self.workers:
            # Where an answer took long, it may be as much longer until the worker is sure.
            while not {tag for tag in self.model.leased if tag.startswith(worker.leases.owner)} <= set(worker.held):
                assert time.monotonic() < deadline
                time.sleep(WITHIN_SECONDS / 5)
                self._call(worker, 0, LANES)
        self.in_step()
        self._all_is_recorded()
        self.client.delete(*self.client.scan_iter(self.keys.pattern, count=1000))
        self.client.close()

    # -- producers

    @rule(lane=st.sampled_from(LANES), count=st.integers(1, 6), due=st.none() | minutes, content=contents)
    def put(self, lane: str, count: int, due: int | None, content: str) -> None:
        self._put(lane, [""] * count, due, content)

    @rule(lane=st.sampled_from(LANES), due=st.none() | minutes, content=contents)
    def put_two_with_one_id(self, lane: str, due: int | None, content: str) -> None:
        self._put(lane, ["", ""], due, content, named="twin")

    @rule(lane=st.sampled_from(LANES), keys=st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4))
    def put_once(self, lane: str, keys: list[str]) -> None:
        self._put(lane, keys, None, "c0ffee")

    def _put(self, lane: str, keys: list[str], due: int | None, content: str, named: str = "") -> None:
        mails = [Mail(named or f"m{next(self.names)}", content) for _ in keys]
        due_us = 0 if due is None else self._now() + due * MINUTE
        entries = [
            Entry(mail.id, envelope(mail.id, content=mail.content), due_us, key)
            for mail, key in zip(mails, keys, strict=True)
        ]
        ids = self.queue.put(lane, entries, content=(content, b"bytes") if content else None)
        assert ids == [self.model.put(lane, mail, due_us, key) for mail, key in zip(mails, keys, strict=True)]

    # -- workers

    @rule(who=some, wanted=st.integers(0, 8), served=st.sampled_from([LANES, LANES, LANES[:1], LANES[1:]]))
    def ask(self, who: int, wanted: int, served: tuple[str, ...]) -> None:
        self._call(self._worker(who), wanted, served)

    @rule(who=some, served=st.sampled_from([LANES, LANES[1:]]))
    def resume_and_work_off(self, who: int, served: tuple[str, ...]) -> None:
        self.resume()
        self._fill_the_bucket()
        worker = self._worker(who)
        for _ in range(4):
            self._call(worker, 8, served)
            while worker.held:
                tag = worker.held.pop()
                worker.leases.settle(tag, Settlement("sent", worker.id_of(tag), note=worker.mails[tag]))
        self._call(worker, 0, served)

    @rule(who=some, verb=st.sampled_from(VERBS), delay=minutes)
    def settle(self, who: int, verb: str, delay: int) -> None:
        worker = self._worker_that_holds(who)
        if worker is not None:
            self._settle(worker, who, verb, delay)

    @rule(who=some, left=st.integers(0, 5), passed=minutes, sent=st.none() | st.integers(0, 30))
    def others_use_up_a_quota(self, who: int, left: int, passed: int, sent: int | None) -> None:
        self._put("transactional", [""] * 4, None, "")
        self.resume()
        self._fill_the_bucket()
        worker = self._worker(who)
        self._call(worker, 2, LANES)
        self._write_limits(Limits(1 / 60, 50, self.model.spent + left), None)
        if worker.held:
            self._settle(worker, who, "over_quota", 1)
            self._call(worker, 8, LANES)
        self.time_passes(passed, somebody_calls=True)
        self._write_limits(self.model.limits, sent)
        self._call(worker, 8, LANES)

    @rule(
        who=some, verb=st.sampled_from(("sent", "stop", "back", "retry")), allows=st.sampled_from((True, True, False))
    )
    def stop_and_probe(self, who: int, verb: str, allows: bool) -> None:
        self._put("transactional", ["", ""], None, "")
        self.resume()
        self._fill_the_bucket()
        worker = self._worker(who)
        for each in ("stop", verb):
            self._call(worker, 1, LANES)
            if worker.held:
                self._settle(worker, -1, each, 1)
                self._call(worker, 8, LANES)
            self._write_limits(self.model.limits, None, allows)
            self.time_passes(2, somebody_calls=True)
            self._fill_the_bucket()
        self._call(worker, 8, LANES)

    @rule(who=some, verb=st.sampled_from(("over_quota", "throttled", "back")), delay=minutes)
    def settle_and_ask_again(self, who: int, verb: str, delay: int) -> None:
        worker = self._worker_that_holds(who)
        if worker is not None:
            self._settle(worker, who, verb, delay)
            self._call(worker, 8, LANES)

    def _settle(self, worker: Worker, who: int, verb: str, delay: int) -> None:
        tag = worker.held.pop(who % len(worker.held))
        found = self.model.leased.get(tag)
        again = envelope(found.mail.id, content=found.mail.content).decode() if found else "{}"
        arguments: dict[str, tuple[object, object]] = {
            "sent": (worker.id_of(tag), ""),
            "over_quota": ("TooManyRequestsException", "Daily message quota exceeded."),
            "stop": ("AccountSuspended", "Ask AWS."),
            "retry": (delay * MINUTE, again),
            "resend": (delay * MINUTE, again),
            "defer": (self._now() + delay * MINUTE, again),
            "dead": ("MessageRejected", "No."),
            "hold": ("ReadTimeout", "No answer."),
        }
        # The script makes its own note on what is set aside without one.
        note = "" if verb in ("back", "unfit", "defer", "dead") else worker.mails[tag]
        worker.leases.settle(tag, Settlement(verb, *arguments.get(verb, ("", "")), note))

    @rule(who=some, wanted=st.integers(0, 8), served=st.sampled_from([LANES, LANES[1:]]))
    def the_answer_is_lost(self, who: int, wanted: int, served: tuple[str, ...]) -> None:
        worker = self._worker(who)
        call = self._begin(worker, wanted)
        self._arrive(worker, call, served)
        worker.leases.abandon(call)

    @rule(who=some, wanted=st.integers(1, 8), served=st.sampled_from([LANES, LANES[:1]]))
    def the_request_is_lost_or_late(self, who: int, wanted: int, served: tuple[str, ...]) -> None:
        worker = self._worker(who)
        call = self._begin(worker, wanted)
        worker.adrift.append((call, served))
        worker.leases.abandon(call)

    @rule(who=some, wait=st.booleans())
    def a_request_arrives_late(self, who: int, wait: bool) -> None:
        for worker in [worker for worker in self.workers if worker.adrift]:
            call, served = worker.adrift.pop(who % len(worker.adrift))
            if wait:
                time.sleep(1.2 * WITHIN_SECONDS)
            self._arrive(worker, call, served)

    @rule(who=some)
    def crash(self, who: int) -> None:
        self.workers[who % len(self.workers)] = Worker()

    @rule(pick=some)
    def a_lease_runs_out(self, pick: int) -> None:
        for tag in sorted(self.model.leased)[pick % 8 :: 8]:
            self.client.zadd(self.keys.leases, {tag: 1000 + pick})
            self.model.leased[tag].ends = 1000 + pick

    # -- operators, SES and time

    @rule(lane=st.sampled_from((*LANES, None)), until=st.none() | minutes)
    def pause(self, lane: str | None, until: int | None) -> None:
        wanted = None if until is None else timedelta(minutes=until)
        ends = pausing.pause(self.client, self.keys, reason="moving house", lane=lane, until=wanted)
        self.model.pause(lane, math.inf if ends is None else ends.timestamp() * 1e6)

    @rule()
    def resume(self) -> None:
        for lane in (*LANES, None):
            pausing.resume(self.client, self.keys, LANES, lane=lane)
        model = self.model
        model.paused, model.stop, model.paused_lanes = 0.0, None, {}
        model.others, model.doubted = 0, 0.0

    @rule(
        rate=st.sampled_from(RATES),
        burst=st.sampled_from((1, 5, 50, 50)),
        quota=st.sampled_from((-1, -1, 8, 20)),
        reserve=st.sampled_from((0.0, 0.25)),
        headroom=st.sampled_from((0.0, 0.5)),
        sent=st.none() | st.integers(0, 30),
        allows=st.sampled_from((True, True, False)),
    )
    def change_limits(
        self, rate: float, burst: int, quota: int, reserve: float, headroom: float, sent: int | None, allows: bool
    ) -> None:
        self._write_limits(Limits(rate, burst, quota, reserve, headroom), sent, allows)

    @rule(
        who=some,
        quota=st.integers(1, 12),
        reserve=st.sampled_from((0.0, 0.25, 0.5)),
        sent=st.none() | st.integers(0, 9),
    )
    def use_up_a_quota(self, who: int, quota: int, reserve: float, sent: int | None) -> None:
        self.resume()
        self._write_limits(Limits(1 / 60, 50, self.model.spent + quota, reserve), sent)
        self._fill_the_bucket()
        for lane in reversed(LANES):
            self._put(lane, [""] * 8, None, "")
            self._call(self._worker(who), 12, LANES)
        self._write_limits(Limits(1 / 60, 50), None)

    @rule(by=minutes, somebody_calls=st.booleans())
    def time_passes(self, by: int, somebody_calls: bool) -> None:
        pass_time(self.client, self.keys, by, in_flight=True)
        self.model.pass_time(by * MINUTE)
        if somebody_calls:
            self.model.seen = float(self._now())
            self.client.hset(self.keys.account, "seen", str(int(self.model.seen)))

    @rule()
    def scripts_are_flushed(self) -> None:
        self.client.script_flush()

    @rule(lane=st.sampled_from(LANES), count=st.integers(1, 5))
    def drop(self, lane: str, count: int) -> None:
        assert purge(self.client, self.keys, lane, count) == self.model.drop_from_lane(lane, count)

    @rule(place=st.sampled_from(PLACES), pick=some, one=st.booleans(), first=st.booleans())
    def requeue(self, place: ShelfName, pick: int, one: bool, first: bool) -> None:
        names, which = self._chosen(place, pick, one=one)
        done = Shelf(self.queue, place, LANES).requeue(which, first=first)
        self.model.requeue(place, names, first=first)
        assert (done.moved, done.refused, done.missing) == (len(names), {}, [])

    @rule(place=st.sampled_from(PLACES), pick=some, one=st.booleans())
    def drop_from_a_shelf(self, place: ShelfName, pick: int, one: bool) -> None:
        names, which = self._chosen(place, pick, one=one)
        done = Shelf(self.queue, place, LANES).drop(which)
        self.model.drop(place, names)
        assert (done.dropped, done.missing) == (len(names), [])

    def _chosen(self, place: ShelfName, pick: int, *, one: bool) -> tuple[list[str], Filter | list[str]]:
        names = self.model.names(place)
        if not one:
            return names, Filter()
        name = names[pick % len(names)] if names else ""
        # An id stands for every message in the schedule that has it.
        return [each for each in names if each == name], [name][: len(names)]

    # -- what must be true after each step

    @invariant()
    def in_step(self) -> None:
        model, client, keys = self.model, self.client, self.keys
        with client.pipeline(transaction=True) as pipe:
            for lane in LANES:
                pipe.lrange(keys.lane(lane), 0, -1)
                pipe.lrange(keys.suspects(lane), 0, -1)
            pipe.hgetall(keys.leased)
            pipe.zrange(keys.leases, 0, -1)
            pipe.zrange(keys.schedule, 0, -1)
            for shelf in ("dead", "held"):
                pipe.hgetall(keys.aside(shelf))
                pipe.zrange(keys.aside_index(shelf), 0, -1)
            pipe.hgetall(keys.references)
            pipe.hkeys(keys.content)
            pipe.hvals(keys.quota)
            pipe.hget(keys.account, "spent")
            (
                first,
                first_lost,
                second,
                second_lost,
                leased,
                leases,
                schedule,
                dead,
                died,
                held,
                held_at,
                refs,
                contents,
                quota,
                spent,
            ) = pipe.execute()
        for found, expected in (
            *((first, model.lanes["transactional"]), (first_lost, model.suspects["transactional"])),
            *((second, model.lanes["bulk"]), (second_lost, model.suspects["bulk"])),
        ):
            assert [_known(raw) for raw in found] == [(mail.id, mail.lost) for mail in expected]
        assert {tag.decode(): _known(raw) for tag, raw in leased.items()} == {
            tag: (each.mail.id, each.mail.lost) for tag, each in model.leased.items()
        }
        assert set(leases) == set(leased)
        scheduled = [(mail.id, mail.lost) for _, _, _, mail in sorted(model.schedule, key=lambda each: each[:3])]
        assert [_known(raw) for raw in schedule] == scheduled
        shelves = {"dead": dead, "held": held}
        for place in PLACES:
            assert [each.name for each in Shelf(self.queue, place, LANES)] == model.names(place)
            for name, stored in shelves.get(place, {}).items():
                mail = model.aside[place][name.decode()].mail
                assert _known(stored) == (mail.id, mail.lost)
        assert {key.decode() for key in dead} == {key.decode() for key in died} == set(model.aside["dead"])
        assert {key.decode() for key in held} == {key.decode() for key in held_at} == set(model.aside["held"])
        assert {key.decode(): int(count) for key, count in refs.items()} == model.references()
        assert {key.decode() for key in contents} == set(model.references())
        assert sum(map(int, quota)) == int(spent or 0) == model.spent

    def _all_is_recorded(self) -> None:
        lines: list[list[str]] = []
        for shard in "0123456789abcdef":
            stored: list[bytes] = self.client.lrange(self.keys.records_in(1, shard), 0, -1)  # type: ignore[assignment]
            lines += [line.decode().split("\t") for line in stored]
        assert Counter((verb, mail_id) for _, verb, mail_id, *_ in lines) == self.model.records

    # -- the parts

    def _now(self) -> int:
        seconds, micros = self.client.time()
        return int(seconds) * 1_000_000 + int(micros)

    def _worker(self, who: int) -> Worker:
        return self.workers[who % len(self.workers)]

    def _worker_that_holds(self, who: int) -> Worker | None:
        return next((worker for worker in [*self.workers[who % 2 :], *self.workers] if worker.held), None)

    def _begin(self, worker: Worker, wanted: int) -> Call:
        if worker.leases.redis_time() is None:
            self._call(worker, 0, LANES)
        return worker.leases.call(wanted, WITHIN_SECONDS)

    def _call(self, worker: Worker, wanted: int, served: tuple[str, ...]) -> None:
        call = worker.leases.call(0) if worker.leases.redis_time() is None else self._begin(worker, wanted)
        answer = self._arrive(worker, call, served)
        tags = worker.leases.answered(call, answer, LEASE_SECONDS)
        worker.held += tags
        for tag, lane, raw in zip(tags, answer.lanes, answer.envelopes, strict=True):
            mail_id, lost = _known(raw)
            worker.mails[tag] = f"{mail_id}\t{lane}"
            if lost:
                worker.leases.suspect(tag)
        if call.wanted and answer.redis_us <= (call.latest_us or 0):
            assert answer.wait_seconds is not None
            assert answer.wait_seconds <= 5.0

    def _arrive(self, worker: Worker, call: Call, served: tuple[str, ...]) -> Answer:
        """Redis carries the call out, and the model does; both must hand out the same."""
        answer = self.take.run(self.client, call, served)
        request = Request(
            tag=f"{worker.leases.owner}:{call.number}",
            wanted=call.wanted,
            latest=float("inf") if call.latest_us is None else call.latest_us,
            lease=LEASE_SECONDS * 1e6,
            served=served,
            suspects=int(not call.holds_suspect),
            verdicts=[(each.verb, tag, each.first, each.second, each.note) for tag, each in call.verdicts],
        )
        expected = self.model.take(answer.redis_us, request)
        given = [(lane, _known(raw)) for lane, raw in zip(answer.lanes, answer.envelopes, strict=True)]
        assert given == [(lane, (mail.id, mail.lost)) for lane, mail in expected]
        # The shared rate recovers with the seconds; here it does so at once.
        self.client.hdel(self.keys.account, "cut", "cut_at")
        return answer

    def _write_limits(self, wanted: Limits, sent: int | None, allows: bool = True) -> None:
        changed = {
            *(("rate_per_second", wanted.rate), ("quota_per_day", wanted.quota), ("burst", wanted.burst)),
            *(("quota_reserve", wanted.reserve), ("rate_headroom", wanted.headroom)),
        }
        settings = self.settings.model_copy(update=dict(changed))
        now = 0
        # All of it in one minute of the quota; writing it twice is the same as once.
        while now // MINUTE != self._now() // MINUTE:
            now = self._now()
            limits.write(self.client, settings, "worker", SesLimits(ANY_RATE, -1, sent, allows))
        self.model.allow(now, wanted, sent, allows)

    def _fill_the_bucket(self) -> None:
        self.client.hset(self.keys.account, "tat", 0)
        self.model.tat = 0.0


def _known(raw: bytes) -> tuple[str, bool]:
    """Of an envelope: its message's id, and whether a worker was lost while it held it."""
    envelope = json.loads(raw.rsplit(b"\n", 1)[-1])
    return envelope["headers"]["id"], "mailer_lost" in envelope


def test_the_scripts_do_what_the_model_says(valkey: Valkey) -> None:
    machine = type("Machine", (AccountMachine,), {"url": valkey.url})
    run_state_machine_as_test(
        machine,
        settings=hypothesis.settings(
            max_examples=max(1, STEPS // STEPS_AT_ONCE),
            stateful_step_count=STEPS_AT_ONCE,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        ),
    )
