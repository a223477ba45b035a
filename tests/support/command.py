"""The command as a person runs it: a process, its exit code and its output."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from mailer.cli.commands import COMMANDS, Deferred
from mailer.cli.main import main
from mailer.settings import Settings, current
from mailer.testbed.environment import clean

# A fork has imported the commands already, but for those that import much more. That saves a second in each of two
# dozen runs.
for _name in set(COMMANDS) - {"bench", "demo", "doctor", "flower", "up"}:
    Deferred(_name).load()

Mailer = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without variables that lead to a real account or to another test's Redis."""
    return clean(**{"AWS_EC2_METADATA_DISABLED": "true", "NO_COLOR": "1", "COLUMNS": "200", **variables})


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "mailer.cli", *arguments]


def completed(*arguments: str, env: Mapping[str, str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """``mailer ARGUMENTS`` as it ended."""
    return subprocess.run(
        command(*arguments), env=env, cwd=cwd, capture_output=True, text=True, timeout=240, check=False
    )


@pytest.fixture
def account_environment(settings: Settings) -> dict[str, str]:
    """The environment with which the command uses the test's account."""
    assert settings.redis_url is not None
    return environment(
        MAILER_REDIS_URL=settings.redis_url.get_secret_value(),
        MAILER_ACCOUNT=settings.account,
        MAILER_DATA_DIR=str(settings.data_dir),
        MAILER_RATE_PER_SECOND="1000",
        MAILER_QUOTA_PER_DAY="-1",
    )


@pytest.fixture
def mailer(account_environment: dict[str, str], tmp_path: Path) -> Mailer:
    """Runs ``mailer ARGUMENTS`` in a separate process and returns the completed process."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        output, errors = tmp_path / "stdout", tmp_path / "stderr"
        child = os.fork()
        if child == 0:
            _become(arguments, {**account_environment, **variables}, tmp_path, output, errors)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return subprocess.CompletedProcess(arguments, code, output.read_text(), errors.read_text())

    return run


def _become(arguments: Sequence[str], env: dict[str, str], folder: Path, output: Path, errors: Path) -> NoReturn:
    code = 70
    try:
        os.chdir(folder)
        for descriptor, path in ((1, output), (2, errors)):
            os.dup2(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), descriptor)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        os.environ.clear()
        os.environ.update(env)
        time.tzset()
        sys.argv = ["mailer", *arguments]
        current.cache_clear()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - the child must not return into the parent's test
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)
