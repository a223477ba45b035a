"""``mailer status``, ``pause`` and ``resume``: the account's state as Redis has it."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import time
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import redis
from rich.console import Console

from mailer.cli.status import screen
from mailer.operations.status import read_status
from mailer.queue import limits
from mailer.queue.keys import Keys
from mailer.queue.limits import SesLimits
from mailer.rules import Lanes
from mailer.settings import Settings
from tests.support.account import allow
from tests.support.command import Mailer


@pytest.fixture
def keys(settings: Settings) -> Keys:
    return Keys.of(settings)


def minute(client: redis.Redis) -> int:
    return int(client.time()[0]) // 60


def test_an_account_that_no_worker_has_seen_is_unknown(client: redis.Redis, settings: Settings) -> None:
    state = read_status(client, settings)
    assert (state.state, state.rate.allowed_per_second, state.quota.per_day) == ("unknown", None, None)


def test_the_allowed_rate_is_what_headroom_and_cut_leave(client: redis.Redis, settings: Settings, keys: Keys) -> None:
    allow(client, settings.model_copy(update={"rate_headroom": 0.1}), rate=100, quota=-1)
    cut_at = time.time() - 20
    client.hset(keys.account, mapping={"cut": "0.5", "cut_at": int(cut_at * 1e6)})
    rate = read_status(client, settings).rate
    assert (rate.per_second, rate.headroom, rate.source) == (100, 0.1, "settings")
    assert 0.648 <= rate.cut <= 0.5 + 0.5 * ((time.time() - cut_at) / 30) ** 3 + 0.001
    assert rate.allowed_per_second == pytest.approx(90 * rate.cut, abs=0.1)


def test_a_rate_of_a_few_a_day_is_no_rate_of_none(client: redis.Redis, settings: Settings, keys: Keys) -> None:
    allow(client, settings.model_copy(update={"rate_headroom": 0.9999}), rate=0.1, quota=-1)
    client.lpush(keys.lane("bulk"), "a", "b")
    state = read_status(client, settings)
    assert state.rate.allowed_per_second == pytest.approx(0.00001)
    assert state.forecast is not None
    assert state.forecast.done_at is None or state.forecast.done_at > state.at + 50_000


def test_a_backlog_for_ten_thousand_years_isscreen(client: redis.Redis, settings: Settings, keys: Keys) -> None:
    allow(client, settings, rate=1e-9, quota=-1)
    client.lpush(keys.lane("bulk"), *map(str, range(1000)))
    state = read_status(client, settings)
    assert state.forecast is not None
    console = Console(width=200, file=io.StringIO())
    console.print(screen(dataclasses.replace(state, forecast=dataclasses.replace(state.forecast, done_at=1e12))))


def test_minutes_older_than_a_day_have_left_the_quota_even_if_nobody_took_since(
    client: redis.Redis, settings: Settings, keys: Keys
) -> None:
    now = minute(client)
    client.hset(keys.quota, mapping={str(now - 1443): "25", str(now - 1000): "30", str(now): "40"})
    allow(client, settings, rate=10, quota=1000, sent=75)
    quota = read_status(client, settings).quota
    assert (quota.by_mailer, quota.by_others, quota.used, quota.left) == (70, 5, 75, 925)


def test_what_waits_is_counted_where_it_waits(client: redis.Redis, settings: Settings, keys: Keys) -> None:
    client.lpush(keys.lane("bulk"), "a", "b")
    client.rpush(keys.lane("bulk"), '{"headers": {"mailer_accepted": 1700000000123}}')
    client.lpush(keys.lane("bulk") + "\x06\x163", "from stock Celery, with a priority")
    client.zadd(keys.schedule, {"bulk\nlater": 2e15, "bulk\nsooner": 1.9e15})
    client.zadd(keys.leases, {"worker:1:1": 1, "worker:1:2": 2e15})
    client.hset(keys.aside("dead"), "x", "{}")
    state = read_status(client, settings)
    assert [(lane.name, lane.waiting) for lane in state.lanes] == [("transactional", 0), ("bulk", 4)]
    assert [lane.oldest_at for lane in state.lanes] == [None, 1_700_000_000.123]
    assert (state.scheduled, state.next_due_at) == (2, 1.9e9)
    assert (state.in_flight, state.overdue, state.dead, state.held) == (2, 1, 1, 0)


def test_looking_changes_nothing(client: redis.Redis, settings: Settings, keys: Keys) -> None:
    allow(client, settings, rate=10, quota=1000)
    client.hset(keys.account, mapping={"paused": "over", "paused_until": 1, "cut": 0.5, "cut_at": 2e15})
    client.hset(keys.quota, mapping={"1": 5, "no minute": 5, str(minute(client)): 2})
    client.hset(keys.hosts, "gone@there", "1 1 X: Y")
    client.hset(keys.wishes, "gone:1", "1 {}")
    before = [client.hgetall(key) for key in (keys.account, keys.quota, keys.hosts, keys.wishes)]
    state = read_status(client, settings)
    assert (state.state, state.quota.used, state.hosts) == ("sending", 2, ())
    assert [client.hgetall(key) for key in (keys.account, keys.quota, keys.hosts, keys.wishes)] == before


def test_an_account_without_quota_says_when_it_resumes_and_when_the_backlog_is_done(
    mailer: Mailer, client: redis.Redis, settings: Settings, keys: Keys
) -> None:
    now = minute(client)
    allow(client, settings, rate=10, quota=1000)
    client.hset(keys.quota, mapping={str(now - 1440): "120", str(now - 700): "880"})
    client.lpush(keys.lane("transactional"), *("a",) * 200)
    state = read_status(client, settings)
    assert (state.state, state.reason) == ("parked", "the quota is used up")
    assert state.forecast is not None
    assert state.until == state.forecast.resumes_at == pytest.approx((now + 2) * 60, abs=60)
    assert state.forecast.done_at == pytest.approx((now + 742) * 60, abs=70)
    said = " ".join(mailer("status").stdout.split())
    assert re.search(r"Sending resumes (at \S+|on \S+ \d+ at \S+|within a minute) \(the quota is used up; 120", said)
    assert re.search(r"The backlog of 200 will be done (on \S+ \d+ )?about \d\d:\d\d\.", said)


def test_others_who_have_all_of_the_quota_are_named(
    mailer: Mailer, client: redis.Redis, settings: Settings, keys: Keys
) -> None:
    allow(client, settings, rate=10, quota=1000, sent=1000)
    client.lpush(keys.lane("bulk"), "a")
    state = read_status(client, settings)
    assert (state.state, state.until) == ("parked", None)
    said = " ".join(mailer("status").stdout.split())
    assert "Others have all of the quota (1,000): sending resumes as theirs ends." in said


def test_moments_written_before_redis_s_clock_was_put_back_are_read_as_the_farthest_they_can_be(
    client: redis.Redis, settings: Settings, keys: Keys
) -> None:
    allow(client, settings, rate=10, quota=1000, sent=0, allows=False)
    at = time.time_ns() // 1000
    day = at + 86_400_000_000
    moments: dict[Any, Any] = dict.fromkeys(("probe_at", "limits_at", "cut_at", "patient", "stopped_at"), day)
    client.hset(keys.account, mapping={**moments, "stopped": "x", "probe_wait": 60_000_000, "cut": 0.5})
    client.hset(keys.hosts, mapping={"a@b": f"{day} {day} X: Y", "b@b": f"{day} {at} X: Y"})
    client.zadd(keys.leases, {"lost": at - 1})
    state = read_status(client, settings)
    assert state.stop is not None
    assert state.stop.next_check_at == pytest.approx(at / 1e6 + 60, abs=10)
    assert (state.rate.cut, state.overdue) == (0.5, 0)
    assert [(each.worker, each.since <= state.at) for each in state.hosts] == [("b@b", True)]
    client.hset(keys.account, mapping={"patient": at})
    assert read_status(client, settings).overdue == 1


def test_a_stop_by_ses_says_why_since_when_and_when_it_is_looked_at_again(
    mailer: Mailer, client: redis.Redis, settings: Settings, keys: Keys
) -> None:
    allow(client, settings, rate=10, quota=1000)
    at = time.time_ns() // 1000
    stop = {"stopped": "AccountSuspendedException: Ask AWS.", "stopped_at": at - 10**9, "probe_at": at + 10**9}
    stop["probe_wait"] = 10**9
    client.hset(keys.account, mapping=stop)  # type: ignore[arg-type]
    state = read_status(client, settings)
    assert (state.state, state.reason) == ("stopped", "AccountSuspendedException: Ask AWS.")
    assert state.stop is not None
    assert (state.stop.since, state.stop.next_check_at) == pytest.approx((at / 1e6 - 1000, at / 1e6 + 1000))
    assert state.forecast is None
    said = " ".join(mailer("status").stdout.split())
    assert re.search(r"stopped since \S+ \S+: AccountSuspendedException: Ask AWS\.", said)
    assert re.search(r"The workers look (on \S+ \d+ )?at \d\d:\d\d whether SES takes mail again", said)
    allow(client, settings, rate=10, quota=1000, sent=0, allows=False)
    stop_now = read_status(client, settings).stop
    assert stop_now is not None
    assert stop_now.next_check_at == pytest.approx(time.time() + 60, abs=10)
    assert mailer("resume").stdout == f"Account {settings.account} sends again.\n"
    assert read_status(client, settings).state == "sending"


def test_a_host_that_cannot_send_is_named_with_its_reason_and_the_remedy(
    mailer: Mailer, client: redis.Redis, settings: Settings, keys: Keys
) -> None:
    limits.write(client, settings.model_copy(update={"rate_per_second": 14.0, "quota_per_day": -1}), "web-3:1")
    at = time.time_ns() // 1000
    why = "UnrecognizedClientException: The security token included in the request is invalid."
    client.hset(keys.hosts, "w1@web-3", f"{at - 300_000_000} {at - 10_000_000} {why}")
    client.hset(keys.hosts, "w1@web-9", f"{at - 1300_000_000} {at - 1200_000_000} Gone: long ago")
    client.hset(keys.hosts, "w2@web-3", "rubbish")
    state = read_status(client, settings)
    (host,) = state.hosts
    assert (host.worker, host.host, host.why) == ("w1@web-3", "web-3", why)
    assert (host.since, host.tried_at) == pytest.approx((at / 1e6 - 300, at / 1e6 - 10))
    assert "AWS key" in host.remedy
    assert (state.state, state.reason) == ("resting", f"no host can send. web-3: {why}"), "there is no other worker"
    limits.write(client, settings.model_copy(update={"rate_per_second": 14.0, "quota_per_day": -1}), "web-4:1")
    assert read_status(client, settings).state == "sending"
    said = " ".join(mailer("status").stdout.split())
    assert "cannot send w1@web-3 since" in said
    assert f"{why} (Give the host an AWS key" in said
    assert json.loads(mailer("status", "--json").stdout)["hosts"][0]["why"] == why


def test_a_host_that_is_gone_does_not_pass_for_one_that_is_there(
    client: redis.Redis, settings: Settings, keys: Keys
) -> None:
    at = time.time_ns() // 1000
    client.hset(keys.hosts, "w1@web-3", f"{at - 400_000_000} {at - 350_000_000} ExpiredTokenException: expired")
    limits.write(client, settings.model_copy(update={"rate_per_second": 14.0, "quota_per_day": -1}), "web-4:1")
    state = read_status(client, settings)
    assert (state.state, [host.worker for host in state.hosts]) == ("sending", ["w1@web-3"])


def test_hosts_that_differ_are_named_and_so_is_the_one_that_holds(
    mailer: Mailer, client: redis.Redis, settings: Settings
) -> None:
    for host, rate in (("host-a", 20.0), ("host-b", 14.0), ("host-c", None)):
        said = settings.model_copy(update={"rate_per_second": rate})
        limits.write(client, said, f"{host}:1", SesLimits(50, -1) if rate is None else None)
    told = " ".join(mailer("status").stdout.split())
    assert re.search(r"14 per second allowed now, from MAILER_RATE_PER_SECOND of host-b, SES allows 50 \d+ s ago", told)
    differs = "MAILER_RATE_PER_SECOND is 14 on host-b, 20 on host-a, not set on host-c: the lowest holds"
    assert f"hosts differ {differs}" in told
    shown = json.loads(mailer("status", "--json").stdout)
    assert [(each["host"], each["says"]["rate_per_second"]) for each in shown["settings"]] == [
        *(("host-a", 20.0), ("host-b", 14.0), ("host-c", None))
    ]
    assert [each["variable"] for each in shown["differences"]] == ["MAILER_RATE_PER_SECOND"]


def test_what_each_host_goes_by_itself_is_told_too(client: redis.Redis, settings: Settings) -> None:
    limits.write(client, settings, "a:1")
    limits.write(client, settings, "a:2")
    limits.write(client, settings, "b:1")
    assert read_status(client, settings).differences == ()
    limits.write(client, settings.model_copy(update={"lanes": Lanes(("bulk", "transactional"))}), "b:1")
    lanes, unknown = read_status(client, settings).differences
    assert str(lanes) == "MAILER_LANES is bulk,transactional on b, transactional,bulk on a: each host goes by its own"
    assert str(unknown).startswith(
        "MAILER_ON_UNKNOWN_<LANE> is bulk=hold,transactional=resend on a, bulk=resend,transactional=hold on b:"
    )


def test_a_rate_is_set_for_all_at_run_time(mailer: Mailer, client: redis.Redis, settings: Settings) -> None:
    limits.write(client, settings.model_copy(update={"rate_per_second": 14.0}), "host-a:1")
    assert mailer("rate").stdout == "14 per second allowed now, from MAILER_RATE_PER_SECOND of host-a\n"
    said = mailer("rate", "20", "--until", "2h", "--reason", "the spring sale").stdout
    assert re.fullmatch(r"20 per second allowed now, set to 20 by \S+ at .+ until .+, the spring sale\n", said)
    assert said.strip() in " ".join(mailer("status").stdout.split())
    assert mailer("rate", "--reset").stdout.startswith("14 per second allowed now, from MAILER_RATE_PER_SECOND")
    assert mailer("rate", "--reset").stderr == "No rate was set.\n"


@pytest.mark.parametrize("wrong", [("0",), ("20", "--reset"), ("--until", "2h"), ("20", "--until", "yesterday")])
def test_a_rate_that_makes_no_sense_is_refused(mailer: Mailer, wrong: tuple[str, ...]) -> None:
    done = mailer("rate", *wrong)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_pause_and_resume_hold_for_the_account(mailer: Mailer, client: redis.Redis, settings: Settings) -> None:
    allow(client, settings, rate=10, quota=1000)
    assert mailer("pause", "--reason", "moving house").returncode == 0
    state = read_status(client, settings)
    assert (state.state, state.reason) == ("paused", "moving house")
    assert re.search(r"paused by \S+: moving house \(mailer resume\)", mailer("status").stdout)
    assert mailer("resume").stdout == f"Account {settings.account} sends again.\n"
    assert read_status(client, settings).state == "sending"
    assert client.llen(Keys.of(settings).doorbell("bulk")) == 1


@pytest.mark.parametrize("until", ["30m", "1d12h", "18:30", "2090-01-31T09:00+01:00"])
def test_a_pause_may_have_an_end(mailer: Mailer, client: redis.Redis, settings: Settings, until: str) -> None:
    allow(client, settings, rate=10, quota=1000)
    said = mailer("pause", "--reason", "moving house", "--until", until, TZ="Europe/Berlin").stdout
    state = read_status(client, settings)
    assert (state.state, state.until is not None) == ("paused", True)
    assert state.until is not None
    shown = datetime.fromtimestamp(state.until, ZoneInfo("Europe/Berlin")).strftime("%Y-%m-%d %H:%M:%S")
    assert said == f"Account {settings.account} is paused until {shown}.\n"
    assert ("18:30" not in until) or " 18:30:00" in shown
    assert f"until {shown}: moving house" in mailer("status", TZ="Europe/Berlin").stdout


@pytest.mark.parametrize("until", ["18:75", "soon", "2090-01-31T09:00", "2020-01-31T09:00+01:00", "0m"])
def test_an_end_that_is_none_is_refused(mailer: Mailer, client: redis.Redis, settings: Settings, until: str) -> None:
    done = mailer("pause", "--reason", "moving house", "--until", until)
    assert (done.returncode, "until" in done.stderr, done.stderr.count("\n")) == (2, True, 1)
    assert client.hget(Keys.of(settings).account, "paused") is None


def test_a_pause_that_has_ended_is_notscreen(client: redis.Redis, settings: Settings, keys: Keys) -> None:
    allow(client, settings, rate=10, quota=1000)
    client.hset(keys.account, mapping={"paused": "a moment", "paused_until": "1", "paused:bulk": "a moment"})
    client.hset(keys.account, "paused_until:bulk", "1")
    state = read_status(client, settings)
    assert (state.state, state.lanes[1].paused) == ("sending", None)


def test_a_lane_is_paused_by_itself(mailer: Mailer, client: redis.Redis, settings: Settings) -> None:
    assert mailer("pause", "--lane", "bulk", "--reason", "wrong letter").returncode == 0
    assert [lane.paused for lane in read_status(client, settings).lanes] == [None, "wrong letter"]
    assert mailer("resume").stdout == (
        f"Account {settings.account} was not stopped.\nLane bulk stays paused: mailer resume --lane bulk\n"
    )
    assert mailer("resume", "--lane", "bulk").stdout == f"Lane bulk of account {settings.account} sends again.\n"
    assert [lane.paused for lane in read_status(client, settings).lanes] == [None, None]
    done = mailer("pause", "--lane", "blk", "--reason", "typo")
    assert (done.returncode, "transactional, bulk" in done.stderr) == (2, True)
