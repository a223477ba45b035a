"""Workers that are forked: processes as any other, and only where it makes no difference to them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mailer.settings import Settings
from mailer.testbed.waiting import until
from ops import forked
from tests.support.post import environment
from tests.support.running import gone

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks there only")

WORKER = [sys.executable, "-m", "celery", "-A", "mailer.worker", "worker", "-P", "custom", "-l", "INFO"]
NOWHERE: dict[str, Any] = {"AWS_ENDPOINT_URL_SESV2": "http://127.0.0.1:1"}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "worker.log"


def start(log: Path, env: dict[str, str], *options: str) -> forked.Forked:
    with log.open("wb") as output:
        started = forked.start([*WORKER, *options], env=env, stdout=output, stderr=output)
    assert isinstance(started, forked.Forked)
    return started


def test_its_settings_session_and_output_are_its_own(settings: Settings, log: Path) -> None:
    worker = start(log, environment(settings, MAILER_NONSENSE="1", **NOWHERE), "-n", "its@name")
    other = start(log.with_name("other.log"), environment(settings, **NOWHERE), "-n", "other@name")
    until(lambda: "its@name ready." in log.read_text(), "it works")
    assert "MAILER_NONSENSE is not a setting" in log.read_text()
    assert os.getsid(worker.pid) == worker.pid != other.pid
    descriptors = {Path(f"/proc/{worker.pid}/fd/{number}").readlink() for number in (1, 2)}
    assert descriptors == {log}
    assert worker.poll() is None
    other.kill()
    assert other.wait(60) == -signal.SIGKILL
    assert worker.poll() is None
    worker.terminate()
    assert worker.wait(60) == worker.poll() == 0
    worker.kill()


def test_one_that_does_not_start_says_why_and_has_its_exit_code(settings: Settings, log: Path) -> None:
    assert start(log, environment(settings), "-c", "none").wait(60) == 2
    assert "got 'none'" in log.read_text()


def test_whoever_waits_too_long_is_told(settings: Settings, log: Path) -> None:
    worker = start(log, environment(settings))
    worker.send_signal(signal.SIGSTOP)
    with pytest.raises(subprocess.TimeoutExpired):
        worker.wait(0.1)
    worker.kill()
    assert worker.wait() == -signal.SIGKILL


def test_they_end_with_the_process_that_asked_for_them(settings: Settings, log: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from ops import forked\n"
        f"log = Path({str(log)!r}).open('wb')\n"
        f"worker = forked.start({WORKER!r}, env=dict(os.environ), stdout=log, stderr=log)\n"
        "print(worker.pid, type(worker).__name__, flush=True); sys.stdin.read()"
    )
    command, env = [sys.executable, "-c", code], environment(settings)
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        pid, kind = asking.stdout.readline().split()
        assert kind == "Forked"
        asking.kill()
    assert gone({int(pid)})


def test_what_would_find_another_world_is_started_as_anybody_would(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    env = environment(settings)
    assert forked.forkable(WORKER, env)
    assert not forked.forkable([*WORKER, "-P", "gevent"], env)
    assert not forked.forkable([*WORKER[:5], "report"], env)
    assert not forked.forkable(["ip", "netns", "exec", "host", *WORKER], env)
    for name in ("LD_PRELOAD", "CELERY_BROKER_URL", "CELERY_CUSTOM_WORKER_POOL", "TZ"):
        assert not forked.forkable(WORKER, {**env, name: "other"})
    monkeypatch.chdir(tmp_path)
    assert not forked.forkable(WORKER, env)
