"""The doctor in front of servers and accounts that something is wrong with."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from urllib.parse import urlsplit

import pytest

from mailer.doctor import account, host, queue, server, wire
from mailer.doctor.examination import Wanted, examine
from mailer.doctor.finding import Finding, Level
from mailer.doctor.server import apart
from mailer.errors import SettingsError
from mailer.operations.status import read_status
from mailer.queue.connection import connect
from mailer.queue.keys import Keys
from mailer.ses.access import open_client
from mailer.settings import Settings, load
from mailer.simulator.client import Simulator
from mailer.testbed.environment import ACCESS_KEY, SECRET_KEY
from mailer.testbed.valkey import Valkey
from mailer.testbed.waiting import free_port
from mailer.testbed.workers import Worker
from ops import forked
from tests.support.account import allow
from tests.support.aws import aws_environment
from tests.support.post import environment

__all__ = ["aws_environment"]

SOUND = ("--appendonly", "yes", "--appendfsync", "everysec")

Start = Callable[..., Settings]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A server with these options, and the settings that lead to it."""
    with ExitStack() as servers:

        def start(*options: str) -> Settings:
            folder = Path(mkdtemp(dir=tmp_path))
            server = servers.enter_context(Valkey(folder, *options))
            return load(redis_url=server.url, rate_per_second=10, quota_per_day=-1, data_dir=folder)

        yield start


@pytest.fixture(scope="module")
def _ses() -> Iterator[Simulator]:
    with Simulator(rate=14, quota=1000, control_rate=0, smtp=False, configuration_set="main") as simulator:
        yield simulator


@pytest.fixture
def ses(_ses: Simulator, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """As at its start."""
    _ses.reset()
    monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", _ses.url)
    return _ses


def about(settings: Settings, *, ses: bool = False, **wanted: Any) -> dict[str, Finding]:
    """The gravest finding about each thing."""
    grave = list(Level)
    found: dict[str, Finding] = {}
    for each in examine(settings, Wanted(**{"ses": ses, "worker_seconds": 0.2, **wanted})):
        before = found.setdefault(each.about, each)
        if grave.index(each.level) > grave.index(before.level):
            found[each.about] = each
    return found


def level_of(finding: Finding) -> tuple[str, str]:
    return str(finding.level), finding.text


# the server


def test_a_sound_server_has_nothing_but_missing_workers(start: Start) -> None:
    found = about(start(*SOUND))
    assert {name for name, each in found.items() if each.level is Level.PROBLEM} == {"workers"}
    assert {"Redis", "version", "role", "eviction", "memory", "persistence", "latency", "clock", "rights"} <= set(found)
    assert all(each.remedy for each in found.values() if each.level is not Level.OK)


@pytest.mark.parametrize(
    ("options", "where", "words"),
    [
        (("--appendonly", "no"), "persistence", "appendonly no"),
        (("--appendonly", "yes", "--appendfsync", "no"), "persistence", "appendfsync no"),
        ((*SOUND, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"), "eviction", "allkeys-lru"),
        ((*SOUND, "--maxmemory", "100kb"), "memory", "MB used of"),
        ((*SOUND, "--replicaof", "127.0.0.1", "1"), "role", "a replica of 127.0.0.1"),
        ((*SOUND, "--cluster-enabled", "yes", "--cluster-port", str(free_port())), "role", "cluster"),
    ],
)
def test_a_server_that_would_lose_or_refuse_mail(
    start: Start, options: tuple[str, ...], where: str, words: str
) -> None:
    finding = about(start(*options))[where]
    assert finding.level is Level.PROBLEM
    assert words in finding.text


@pytest.mark.parametrize(("most", "level"), [("64mb", Level.OK), ("512mb", Level.NOTE)])
def test_a_server_that_takes_more_than_any_mail_has_is_noted(start: Start, most: str, level: Level) -> None:
    assert about(start(*SOUND, "--proto-max-bulk-len", most))["sizes"].level is level


def test_a_server_that_is_away_is_one_problem_and_not_a_dozen() -> None:
    found = about(load(redis_url=f"redis://:secret@127.0.0.1:{free_port()}/0"))
    assert found["Redis"].level is Level.PROBLEM
    assert "secret" not in str(found)
    assert not {"version", "workers"} & set(found)


@pytest.mark.parametrize(
    ("url", "level"),
    [
        ("redis://:secret@redis.internal:6379/0", "problem"),
        ("redis://user:secret@10.1.2.3/0", "problem"),
        ("sentinel://:secret@a.internal:26379;sentinel://b.internal/0", "problem"),
        ("sentinel://a.internal:26379;sentinel://:secret@127.0.0.1/0", "problem"),
        ("rediss://:secret@redis.internal/0?ssl_cert_reqs=none", "problem"),
        ("rediss://127.0.0.1/0?ssl_cert_reqs=CERT_NONE", "problem"),
        ("rediss://redis.internal/0?ssl_check_hostname=false", "note"),
        ("redis://redis.internal/0", "note"),
        ("rediss://:secret@redis.internal/0", ""),
        ("rediss://:secret@redis.internal/0?ssl_ca_certs=/ca.pem", ""),
        ("redis://:secret@127.0.0.1:6379/0", ""),
        ("redis://:secret@localhost/0", ""),
        ("redis://:secret@[::1]:6379/0", ""),
        ("redis:///0", ""),
        ("unix://user:secret@/run/valkey.sock", ""),
    ],
)
def test_a_way_to_redis_on_which_others_read_along_is_told(url: str, level: str) -> None:
    found = list(wire.redis(load(redis_url=url, redis_sentinel_master="post")))
    assert [str(each.level) for each in found] == ([level] if level else [])
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("url", "key", "level"),
    [
        ("http://ses.internal:9025", ACCESS_KEY, "problem"),
        ("http://user:secret@ses.internal:9025", "ASIAIOSFODNN7EXAMPLE", "problem"),
        ("http://simulator:9025", "simulator", "note"),
        ("http://127.0.0.1:9025", ACCESS_KEY, "ok"),
        ("http://localhost:9025", ACCESS_KEY, "ok"),
        ("https://ses.internal", ACCESS_KEY, "ok"),
    ],
)
def test_mail_in_the_clear_under_a_key_of_aws_is_a_problem(url: str, key: str, level: str) -> None:
    found = wire.ses(url, key, "reached")
    assert str(found.level) == level
    assert "secret" not in str(found)


def test_without_a_url_it_says_what_to_set(tmp_path: Path) -> None:
    assert "MAILER_REDIS_URL" in about(load(data_dir=tmp_path))["Redis"].remedy


def test_replicas_that_nobody_waits_for_are_a_problem_and_the_remedies_end_it(start: Start) -> None:
    settings = start(*SOUND)
    port = urlsplit(settings.redis_url.get_secret_value()).port  # type: ignore[union-attr]
    start("--replicaof", "127.0.0.1", str(port))

    def replicas(**settings_: Any) -> list[Finding]:
        found = examine(settings.model_copy(update=settings_), Wanted(ses=False, worker_seconds=0.1))
        return [each for each in found if each.about == "replicas"]

    with connect(settings) as client:
        while not client.info("replication")["connected_slaves"]:
            time.sleep(0.02)
        off, behind = replicas()
        assert (off.level, behind.level) == (Level.PROBLEM, Level.PROBLEM)
        assert "CONFIG SET min-replicas-to-write 1 min-replicas-max-lag 10" in off.remedy
        assert "MAILER_REDIS_REPLICAS=1" in behind.remedy
        client.execute_command("CONFIG", "SET", "min-replicas-to-write", "1", "min-replicas-max-lag", "10")
    assert [each.level for each in replicas()] == [Level.OK, Level.PROBLEM]
    assert [each.level for each in replicas(redis_replicas=1)] == [Level.OK]
    too_many, *_ = replicas(redis_replicas=2)
    assert too_many.level is Level.PROBLEM
    assert "nothing is accepted" in too_many.text


def test_behind_sentinels_the_missing_settings_are_a_problem_while_no_replica_follows_too() -> None:
    settings = load(redis_url="sentinel://127.0.0.1:26379/0", redis_sentinel_master="post")
    off, unasked = server.replicas({"connected_slaves": 0}, 0, settings)
    assert (off.level, unasked.level) == (Level.PROBLEM, Level.PROBLEM)
    assert "MAILER_REDIS_REPLICAS=1 on every host" in unasked.remedy
    assert "once a replica follows" in unasked.remedy
    alone = load(redis_url="redis://127.0.0.1/0")
    assert list(server.replicas({"connected_slaves": 0}, 0, alone)) == []


def test_a_write_that_failed_is_told(start: Start) -> None:
    settings = start(*SOUND, "--dbfilename", "taken")
    client = connect(settings)
    (settings.data_dir / "taken").mkdir()
    client.bgsave()
    while client.info("persistence")["rdb_bgsave_in_progress"]:
        threading.Event().wait(0.02)
    assert "rdb_last_bgsave_status" in about(settings)["persistence"].text


def test_what_a_user_may_not_do_is_named(start: Start) -> None:
    settings = start(*SOUND)
    client = connect(settings)
    assert settings.redis_url is not None
    rules = {
        "documented": ("~mailer:*", "&*", "+@all", "-@admin", "-@dangerous", "+info"),
        "no_lists": ("~mailer:*", "&*", "+@all", "-@admin", "-@dangerous", "+info", "-lpush", "-rpush"),
        "elsewhere": ("~other:*", "&*", "+@all"),
        "no_scripts": ("~mailer:*", "&*", "+@all", "-@scripting"),
        "no_channels": ("~mailer:*", "resetchannels", "+@all"),
    }
    found = {}
    for user, rule in rules.items():
        client.execute_command("ACL", "SETUSER", user, "on", ">p", *rule)
        url = settings.redis_url.get_secret_value().replace("redis://", f"redis://{user}:p@")
        found[user] = about(load(redis_url=url))
    assert found["documented"]["rights"].level is Level.OK
    assert found["documented"]["persistence"].level is Level.NOTE, "it may not read appendfsync"
    assert "may not LPUSH, RPUSH (" in found["no_lists"]["rights"].text
    assert "a key" in found["elsewhere"]["rights"].text
    assert "may not run scripts" in found["no_scripts"]["rights"].text
    assert "may not PSUBSCRIBE, PUBLISH, SUBSCRIBE (" in found["no_channels"]["rights"].text
    assert {each["rights"].level for name, each in found.items() if name != "documented"} == {Level.PROBLEM}


@pytest.mark.parametrize(("ahead", "level"), [(0.5, "ok"), (-1.5, "ok"), (30, "note"), (-30, "note"), (600, "problem")])
def test_how_far_a_clock_may_be_off(ahead: float, level: str) -> None:
    finding = apart("clock", ahead, "Redis's")
    assert finding.level == level
    if level != "ok":
        assert ("ahead" if ahead > 0 else "behind") in finding.text


# the queue


def test_what_stops_the_account_is_told(start: Start) -> None:
    settings = start(*SOUND)
    client, keys = connect(settings), Keys.of(settings)

    def state(**changes: Any) -> dict[str, Finding]:
        read = settings.model_copy(update=changes)
        return {
            each.about: each
            for each in (*queue.state(read_status(client, read)), *queue.limits(read_status(client, read), read))
        }

    assert state()["account"].level is Level.NOTE
    allow(client, settings, rate=10, quota=-1)
    assert state()["account"].level is Level.OK
    assert "MAILER_RATE_PER_SECOND here is 20" in state(rate_per_second=20.0)["limits"].text
    client.hset(keys.account, mapping={"paused": "holidays", "paused:bulk": "too many"})
    assert level_of(state()["account"]) == ("problem", "default is paused: holidays; 0 messages wait")
    assert "too many" in state()["lane bulk"].text
    client.hdel(keys.account, "paused")
    client.hset(keys.account, "stopped", "SendingPausedException: Email sending is disabled")
    assert level_of(state()["account"])[0] == "problem"
    assert "SES has stopped default: SendingPausedException" in state()["account"].text
    at = time.time_ns() // 1000
    for worker in ("a@h7", "b@h7"):
        client.hset(keys.hosts, worker, f"{at} {at} ExpiredTokenException: The token is expired")
    client.hset(keys.hosts, "a@h8", f"{at} {at} COULDNT_CONNECT: refused (curl 7)")
    said = state()
    assert level_of(said["host h7"]) == (
        "problem",
        "a@h7, b@h7 cannot send: ExpiredTokenException: The token is expired",
    )
    assert said["host h7"].remedy.startswith("Renew the host's credentials")
    assert said["host h8"].remedy.startswith("Open the host's way to SES")


def test_mail_that_lies_where_nobody_reads_is_told(start: Start) -> None:
    settings = start(*SOUND)
    client, keys = connect(settings), Keys.of(settings)
    client.lpush(keys.lane("bulk"), '{"headers": {"task": "mailer.send"}}')
    client.lpush(keys.prefix + "celery@h.celery.pidbox", '{"headers": {}}')
    assert list(queue.strays(client, settings)) == []
    client.lpush(keys.prefix + "newsletter", '{"headers": {"task": "mailer.send"}}', '{"headers": {}}')
    (finding,) = queue.strays(client, settings)
    assert level_of(finding) == ("problem", "2 messages lie there, and it is no lane: nobody reads them")
    assert finding.about == "queue newsletter"


def test_workers_and_the_lanes_they_serve(start: Start, ses: Simulator, tmp_path: Path) -> None:
    settings = start(*SOUND)
    env = environment(settings, ses)
    with Worker(tmp_path / "worker.log", env, "-Q", "bulk", start=forked.start) as worker:
        worker.wait_until_ready()
        # On a busy machine a worker may not answer in a second.
        for _ in range(60):
            found = about(settings, worker_seconds=1.0)
            if found["workers"].level is Level.OK:
                break
    assert found["workers"].level is Level.OK
    assert found["lane bulk"].level is Level.OK
    assert level_of(found["lane transactional"]) == ("problem", "served by nobody")


# the host


def test_a_name_that_is_no_setting_is_told() -> None:
    (finding,) = host.names({"MAILER_RATE": "3", "MAILER_ON_UNKNOWN_BULK": "hold", "MAILER_LANES": "a", "HOME": "/"})
    assert level_of(finding) == ("note", "MAILER_RATE: not a setting, so nothing reads it")


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"smtp_url": "smtp://u:p@h"}, "transport"),
        ({"redis_sentinel_master": "m", "redis_url": "redis://h"}, "Redis URL"),
        ({"rate_per_second": 5, "burst": 8}, "burst"),
        ({"burst": 1}, "burst"),
    ],
)
def test_settings_that_contradict_each_other(changes: dict[str, Any], where: str) -> None:
    assert [each.about for each in host.contradictions(load(**changes))] == [where]
    assert list(host.contradictions(load())) == []
    assert list(host.contradictions(load(rate_per_second=1, burst=2))) == []


def test_celery_s_variables_that_lead_elsewhere_are_told() -> None:
    settings = load(redis_url="redis://localhost:6379/0")
    (found,) = host.contradictions(settings, {"CELERY_BROKER_URL": "redis://:secret@elsewhere:6379/0"})
    assert (found.about, found.level, "secret" in str(found)) == ("Celery", Level.NOTE, False)
    assert "CELERY_BROKER_URL" in found.text
    assert list(host.contradictions(settings, {"CELERY_BROKER_URL": "redis://localhost"})) == []


def test_an_smtp_url_that_cannot_be_read_is_a_problem_among_others() -> None:
    (found,) = account.smtp(load(transport="smtp", smtp_url="mail.example.com:587"))
    assert (found.level, found.text[:17]) == (Level.PROBLEM, "MAILER_SMTP_URL: ")


def test_a_short_lease_is_a_note_and_one_that_is_too_short_refused() -> None:
    (short,) = host.timeouts(load(lease_seconds=40))
    (long,) = host.timeouts(load())
    assert (short.level, long.level) == (Level.NOTE, Level.OK)
    assert "MAILER_LEASE_SECONDS to 43" in short.remedy
    with pytest.raises(SettingsError, match="33 s\\) by 1 s at least"):
        load(lease_seconds=33.5)


def test_more_threads_than_files() -> None:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert [each.level for each in host.open_files(limit)] == [Level.PROBLEM]
    assert [each.level for each in host.open_files(32)] == [Level.OK]


# SES


def test_a_sound_account(start: Start, ses: Simulator) -> None:
    settings = start(*SOUND).model_copy(update={"quota_per_day": None})
    found = about(settings, ses=True, configuration_set="main")
    assert {name for name, each in found.items() if each.level is Level.PROBLEM} == {"workers"}
    assert found["credentials"].text == "AKIA...MPLE (long-term), Region us-east-1"
    assert found["configuration set"].level is Level.OK
    assert found["quota"].text == "1,000 left of 1,000 in 24 hours"
    assert SECRET_KEY not in str(found)
    assert ACCESS_KEY not in str(found)


@pytest.mark.parametrize(
    ("terms", "where", "words"),
    [
        ({"sandbox": True}, "production", "sandbox"),
        ({"sending_enabled": False}, "sending", "disabled"),
        ({"enforcement": "SHUTDOWN"}, "enforcement", "stopped"),
        ({"used": 1000}, "quota", "0 left of 1,000"),
        ({"rate": 5}, "rate", "MAILER_RATE_PER_SECOND=10 is above the account's 5"),
    ],
)
def test_an_account_that_may_not_send(
    ses: Simulator, settings: Settings, terms: dict[str, Any], where: str, words: str
) -> None:
    ses.request("PUT", "/_sim/account", body=terms)
    own = settings.model_copy(update={"rate_per_second": 10.0, "quota_per_day": None})
    limits_found, _ = account.limits(own)
    assert limits_found is not None
    found = {each.about: each for each in (*account.standing(limits_found), *account.allowance(limits_found, own))}
    # An account that AWS has stopped has its sending disabled too.
    assert {each.about for each in found.values() if each.level is Level.PROBLEM} - {"sending"} == {where} - {"sending"}
    assert found[where].level is Level.PROBLEM
    assert words in found[where].text


def test_senders_and_sets(ses: Simulator) -> None:
    def levels(address: str) -> list[str]:
        return [str(each.level) for each in account.sender(address, load())]

    assert levels("Shop <shop@news.example.com>") == ["problem"]
    client = open_client()
    client.create_email_identity(EmailIdentity="example.com")
    assert levels("Shop <shop@news.example.com>") == ["ok"]
    assert levels("shop@example.org") == ["problem"]
    client.put_configuration_set_sending_options(ConfigurationSetName="main", SendingEnabled=False)
    assert "disabled" in next(account.configuration_set("main", load())).text
    assert "there is no other" in next(account.configuration_set("other", load())).text


def test_a_busy_control_plane_is_waited_for(ses: Simulator) -> None:
    ses.request("PUT", "/_sim/account", body={"control_rate": 1})
    account.limits(load())
    assert [each.level for each in account.sender("shop@news.example.com", load())] == [Level.PROBLEM]


def test_refusals_are_told_in_aws_s_words(ses: Simulator, settings: Settings) -> None:
    ses.add_fault("error", error="access-denied", operation="account")
    _, (needed,) = account.limits(settings.model_copy(update={"rate_per_second": None}))
    _, (optional,) = account.limits(settings)
    assert (needed.level, optional.level) == (Level.PROBLEM, Level.NOTE)
    assert "ses:GetAccount" in needed.remedy


@pytest.mark.parametrize(
    ("error", "remedy"),
    [("expired-token", "Renew the host's credentials"), ("bad-signature", "Correct the secret of the host's AWS key")],
)
def test_the_host_that_it_runs_on_may_be_the_one_that_is_refused(
    ses: Simulator, settings: Settings, error: str, remedy: str
) -> None:
    ses.add_fault("error", error=error, operation=None)
    _, (finding,) = account.limits(settings)
    assert finding.level is Level.PROBLEM
    assert finding.text.startswith("this host cannot ask SES: ")
    assert finding.remedy.startswith(remedy)


def test_a_clock_that_aws_would_refuse(ses: Simulator, settings: Settings) -> None:
    ses.skew_clock(600)
    found, _ = account.limits(settings)
    assert found is not None
    (finding,) = account.clock(found)
    assert finding.level is Level.PROBLEM
    assert "behind AWS's" in finding.text


def test_ses_out_of_reach_and_no_credentials(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", f"http://127.0.0.1:{free_port()}")
    access, _ = account.credentials(settings)
    assert access is not None
    assert [each.level for each in account.endpoint(access, settings)] == [Level.PROBLEM]
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    access, (finding,) = account.credentials(settings)
    assert access is None
    assert finding.level is Level.PROBLEM


def test_no_login_of_an_endpoint_or_a_proxy_is_shown(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, ses: Simulator
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", ses.url.replace("http://", "http://user:secret@"))
    found = about(settings, ses=True)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", "https://user:secret@ses.invalid")
    monkeypatch.setenv("HTTPS_PROXY", f"user:secret@127.0.0.1:{free_port()}")
    away = about(settings, ses=True)
    assert (found["endpoint"].level, away["endpoint"].level) == (Level.OK, Level.PROBLEM)
    assert "through the proxy 127.0.0.1:" in away["endpoint"].text
    assert "secret" not in f"{found} {away}"


# the command


def test_the_command_says_it_in_words_in_json_and_with_its_exit_code(
    start: Start, ses: Simulator, tmp_path: Path
) -> None:
    settings = start("--appendonly", "no")
    env = environment(settings, ses, NO_COLOR="1", COLUMNS="160")

    def doctor(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "mailer.cli", "doctor", "--no-ses", *options]
        return subprocess.run(command, env=env | variables, capture_output=True, text=True, check=False)

    told = doctor()
    assert told.returncode == 1
    assert "appendonly no" in told.stdout
    assert "Set appendonly yes" in told.stdout
    assert "2 problems" in told.stdout
    found = json.loads(doctor("--json").stdout)
    assert found["ok"] is False
    assert {"about", "level", "text", "remedy"} == set(found["findings"][0])

    host, at = "ip-10-0-12-123.eu-west-1.compute.internal", time.time_ns() // 1000
    with connect(settings) as client:
        client.hset(Keys.of(settings).hosts, f"mailer1-7f3a@{host}", f"{at} {at} ExpiredTokenException: expired")
    narrow = doctor(COLUMNS="80").stdout
    assert "mailer1-7f3a@ip-10-0-12-123" in narrow
    assert "…" not in narrow, "no name is cut off"


def test_every_command_of_the_scripts_is_asked_for() -> None:
    queue = Path(server.__file__).parent.parent / "queue"
    scripts = "".join(path.read_text() for path in queue.rglob("*.lua"))
    calls = re.findall(r"redis\.call\(([^,)]+)", scripts)
    used = set(re.findall(r"'([A-Z]+)'", " ".join(calls))) - {"TIME"}
    assert used
    assert used <= {command.split()[0] for command in server.COMMANDS}
