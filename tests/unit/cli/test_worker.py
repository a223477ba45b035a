"""``mailer worker``: the supervisor over real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import redis

from mailer.host.child import end_with
from mailer.host.everything import simulated_aws
from mailer.host.supervisor import workers
from mailer.producer.producer import Producer
from mailer.queue.keys import Keys
from mailer.queue.queue import Queue
from mailer.settings import Settings
from mailer.simulator.client import Simulator
from mailer.testbed.waiting import until
from tests.support.command import Mailer, command
from tests.support.post import refusal_to_start
from tests.support.running import gone, running

PATIENT = "import time; time.sleep(600)"
DEAF = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.write(1, b'up\\n'); time.sleep(600)"
SUPERVISE = """
import sys
from mailer.host.supervisor import Member, Supervisor
members = [Member(f"one{number}", [sys.executable, "-c", sys.argv[2]]) for number in (1, 2)]
sys.exit(Supervisor(members, patience_seconds=float(sys.argv[1])).run())
"""


def supervised(patience: float, script: str) -> list[str]:
    return [sys.executable, "-c", SUPERVISE, str(patience), script]


def test_a_process_that_dies_is_started_again() -> None:
    with running(supervised(5, PATIENT)) as supervisor:
        before = supervisor.children(2)
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        supervisor.wait_for("was ended by SIGKILL: starting it again in 1 s")
        assert gone({victim})
        after = supervisor.children(2)
        assert len(before & after) == 1
        # They have no handler for SIGTERM, so a clean stop of the supervisor still says that they failed.
        assert supervisor.stop() == 1
        assert gone(before | after)


def test_one_that_keeps_dying_is_waited_for_longer_each_time() -> None:
    with running(supervised(5, "import sys; sys.exit(3)")) as supervisor:
        supervisor.wait_for("ended with code 3: starting it again in 1 s", 2)
        supervisor.wait_for("ended with code 3: starting it again in 2 s", 2)
        # Both wait for so long that none has begun again before the stop.
        supervisor.wait_for("ended with code 3: starting it again in 4 s", 2)
        assert supervisor.stop() == 0


def test_one_that_cannot_be_started_again_does_not_end_the_others(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho up\nexec sleep 60\n")
    program.chmod(0o755)
    script = SUPERVISE.replace('[sys.executable, "-c", sys.argv[2]]', "sys.argv[2:]")
    with running([sys.executable, "-c", script, "5", str(program)]) as supervisor:
        # The shell reads the program once more when it is started already.
        supervisor.wait_for("up", 2)
        before = supervisor.children(2)
        program.rename(tmp_path / "away")
        os.kill(min(before), signal.SIGKILL)
        supervisor.wait_for(r"cannot be started \(.*\): starting it again in 2 s")
        assert supervisor.children(1) == {max(before)}
        (tmp_path / "away").rename(program)
        assert max(before) in supervisor.children(2)
        supervisor.stop()


def test_processes_that_end_well_by_themselves_were_asked_to_and_end_the_supervisor() -> None:
    with running(supervised(5, "pass")) as supervisor:
        assert supervisor.process.wait(60) == 0
        supervisor.wait_for("was asked to stop and did", 2)


def test_what_does_not_stop_in_time_is_killed_and_named() -> None:
    with running(supervised(0.5, DEAF)) as supervisor:
        supervisor.wait_for("up", 2)
        children = supervisor.children(2)
        # It waits for a minute, and the children sleep for ten.
        assert supervisor.stop() == 1
        assert sum("did not stop in 0.5 s and is killed" in line for line in supervisor.lines) == 2
        assert gone(children)


def test_the_processes_do_not_outlive_a_supervisor_that_is_killed() -> None:
    with running(supervised(5, PATIENT)) as supervisor:
        children = supervisor.children(2)
        supervisor.process.kill()
        assert gone(children)


def test_a_child_whose_parent_is_gone_before_it_runs_ends_at_once() -> None:
    nobody = 2**22 + 1
    child = subprocess.Popen([sys.executable, "-c", PATIENT], preexec_fn=partial(end_with, nobody))  # noqa: PLW1509
    assert child.wait(60) == -signal.SIGTERM


def test_a_worker_that_waits_for_the_embedded_server_says_so(account_environment: dict[str, str]) -> None:
    del account_environment["MAILER_REDIS_URL"]
    with running(command("worker"), account_environment) as worker:
        worker.wait_for("MAILER_REDIS_URL is not set: waiting")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_workers_send_and_stop_when_told_to(
    number: signal.Signals, client: redis.Redis, settings: Settings, account_environment: dict[str, str]
) -> None:
    with Simulator(smtp=False, rate=1000, row_tag="mailer-id") as simulator:
        environment = simulated_aws(simulator.url, account_environment)
        with running(command("worker", "--processes", "2", "--threads", "4"), environment) as worker:
            worker.wait_for(r"mailer\d-[0-9a-f]{4}@\S+ ready\.", 2)
            children = worker.children(2)
            sent = Producer(Queue(client, Keys.of(settings))).send(
                to=["a@example.com", "b@example.com"], sender="me@example.com", subject="Hi", text="Hi"
            )
            until(lambda: sorted(row.message_id for row in simulator.rows()) == sorted(sent))
            assert worker.stop(number) == 0
            assert gone(children)
            assert not [line for line in worker.lines if "Found credentials" in line]
    assert client.zcard(Keys.of(settings).leases) == 0


def test_no_two_calls_on_a_host_share_a_name_and_a_name_that_is_given_is_kept() -> None:
    def names(name: str | None) -> list[str]:
        members = workers(2, 4, ["bulk"], name=name, loglevel="info")
        return [member.command[member.command.index("-n") + 1] for member in members]

    once, again = names(None), names(None)
    assert not {*once} & {*again}
    assert [name[:8] for name in once] == ["mailer1-", "mailer2-"]
    assert names("night") == ["night1@%h", "night2@%h"]


def test_celery_s_own_variables_lead_its_workers_nowhere_else(
    client: redis.Redis, settings: Settings, account_environment: dict[str, str]
) -> None:
    Producer(Queue(client, Keys.of(settings))).send(
        to="a@example.com", sender="me@example.com", subject="Hi", text="Hi"
    )
    with Simulator(smtp=False, rate=1000) as simulator:
        environment = simulated_aws(simulator.url, account_environment) | {
            "CELERY_BROKER_URL": "redis://:secret@127.0.0.1:1/0",
            "CELERY_WORKER_PURGE": "1",
            "CELERY_WORKER_CONCURRENCY": "many",
        }
        with running(command("worker", "--processes", "1", "--threads", "4"), environment) as worker:
            until(lambda: len(list(simulator.rows())) == 1)
            worker.stop()
            said = [line for line in worker.lines if "CELERY_BROKER_URL" in line]
            assert len(said) == 1
            assert "MAILER_REDIS_URL" in said[0]
            assert "secret" not in worker.text


def test_a_log_level_that_is_none_is_refused_before_anything_starts(mailer: Mailer) -> None:
    done = mailer("worker", "--log-level", "loud")
    assert (done.returncode, "debug" in done.stderr) == (2, True)


def test_a_lane_that_is_not_there_is_refused_before_anything_starts(mailer: Mailer) -> None:
    done = mailer("worker", "--lane", "bulk", "--lane", "blk")
    assert (done.returncode, done.stderr) == (
        2,
        "mailer: lane: 'blk' is not one. Use one of transactional, bulk, or add it to MAILER_LANES\n",
    )


def test_a_worker_that_could_send_nothing_takes_nothing(
    mailer: Mailer, client: redis.Redis, settings: Settings, account_environment: dict[str, str]
) -> None:
    Producer(Queue(client, Keys.of(settings))).send(
        to="a@example.com", sender="me@example.com", subject="Hi", text="Hi"
    )
    wrong = {"MAILER_TRANSPORT": "smtp", "MAILER_SMTP_URL": "mail.example.com:587"}
    done = mailer("worker", "--processes", "1", **wrong)
    assert done.returncode == 2
    assert done.stderr.startswith("mailer: MAILER_SMTP_URL: ")
    assert done.stderr.count("\n") == 1

    assert "SettingsError: MAILER_SMTP_URL: " in refusal_to_start({**account_environment, **wrong})
    assert client.llen(Keys.of(settings).lane("transactional")) == 1
