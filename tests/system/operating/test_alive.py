"""The files by which a health check tells whether a worker's processes work."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from mailer.errors import SettingsError
from mailer.settings import Settings
from mailer.testbed.waiting import until
from mailer.worker import alive
from tests.support import REPOSITORY
from tests.support.command import account_environment, command  # noqa: F401 - a fixture
from tests.support.running import Running, running

COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
WORKER: dict[str, Any] = COMPOSE["services"]["worker"]


def is_healthy(folder: Path) -> bool:
    """What docker-compose.yml asks, here and with less patience."""
    kind, test = WORKER["healthcheck"]["test"]
    assert (kind, "'20 seconds ago'" in test) == ("CMD-SHELL", True)
    there = WORKER["environment"]["MAILER_ALIVE_DIR"]
    assert test.count(there) == 2
    here = test.replace("$$", "$").replace(there, str(folder)).replace("'20 seconds ago'", "'5 seconds ago'")
    return subprocess.run(["/bin/sh", "-c", here], check=False, capture_output=True).returncode == 0


def process(worker: Running, name: str) -> int:
    """The id of the process of that name."""
    for pid in worker.children(2):
        if f"{name}@" in Path(f"/proc/{pid}/cmdline").read_text():
            return pid
    raise AssertionError(f"no {name}")


def test_a_worker_is_healthy_as_long_as_each_of_its_processes_works(
    account_environment: dict[str, str],  # noqa: F811
    tmp_path: Path,
) -> None:
    folder = tmp_path / "alive"
    assert not is_healthy(folder)
    env = {**account_environment, "MAILER_ALIVE_DIR": str(folder), "AWS_REGION": "us-east-1"}
    env |= {
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_ENDPOINT_URL_SESV2": "http://127.0.0.1:1",
    }
    with running(command("worker", "--processes", "2", "--name", "w"), env) as worker:
        worker.wait_for(r"ready\.", 2)
        until(lambda: is_healthy(folder))
        assert sorted(file.name for file in folder.iterdir()) == ["w1.alive", "w2.alive"]
        # They are touched again and again, and nobody else may look into the folder.
        time.sleep(6)
        assert is_healthy(folder)
        assert folder.stat().st_mode & 0o777 == 0o700

        hung = process(worker, "w2")
        os.kill(hung, signal.SIGSTOP)
        until(lambda: not is_healthy(folder))
        os.kill(hung, signal.SIGCONT)
        until(lambda: is_healthy(folder))

        # One that was asked to end is not missed.
        os.kill(process(worker, "w1"), signal.SIGTERM)
        worker.wait_for("w1 was asked to stop and did")
        assert [file.name for file in folder.iterdir()] == ["w2.alive"]
        assert is_healthy(folder)


def test_a_process_that_never_gets_to_work_is_missed(tmp_path: Path) -> None:
    folder = tmp_path / "alive"
    alive.begin(folder, [alive.file_of(folder, name) for name in ("w1", "w2@host")])
    assert is_healthy(folder)
    until(lambda: not is_healthy(folder))


def test_what_else_lies_in_the_folder_stays(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "letter.txt").touch()
    (tmp_path / "of-before.alive").touch()
    alive.begin(tmp_path, [alive.file_of(tmp_path, "w1")])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["letter.txt", "w1.alive"]
    assert settings.alive_dir is None
    with pytest.raises(SettingsError, match="MAILER_ALIVE_DIR=/proc/nowhere"):
        alive.begin(Path("/proc/nowhere"), [])
