"""What ``make test`` says of tests: red is red, whatever made it so, and what is run again is told."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import REPOSITORY

Ended = subprocess.CompletedProcess[str]

OK = """
import pytest
def test_plain(): pass
@pytest.mark.timing
def test_timing(): pass
"""
STANDS_STILL = """
import os, signal, subprocess, pytest

def stand_still():
    subprocess.Popen(["sh", "-c", f"sleep 1; kill -CONT {os.getpid()}"])
    os.kill(os.getpid(), signal.SIGSTOP)

runs = []

@pytest.fixture
def fresh():
    return []

@pytest.mark.timing
def test_passes_the_second_time(fresh):
    fresh.append(1)
    runs.append(1)
    if len(runs) == 1:
        stand_still()
        assert fresh == [2]
    assert fresh == [1]

@pytest.mark.timing
def test_fails_each_time():
    stand_still()
    runs.append(2)
    assert runs.count(2) == 3, "twice only"

@pytest.mark.timing
def test_did_not_stand_still():
    assert False, "at once"

def test_does_not_measure_time():
    stand_still()
    assert False, "not marked"
"""


def pytest_environment(*plugins: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    chosen = " ".join(f"-p {plugin}" for plugin in plugins)
    return {**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": chosen, "PYTHONPATH": str(REPOSITORY)}


@pytest.fixture
def make_test(tmp_path: Path) -> Callable[..., Ended]:
    """Runs ``make test`` of the project on other tests, with one process instead of several."""
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\nmarkers =\n    timing\n")

    def run(tests: str, conftest: str = "", options: str = "") -> Ended:
        (tmp_path / "test_it.py").write_text(tests)
        (tmp_path / "conftest.py").write_text(conftest)
        runner = tmp_path / "bin" / "pytest"
        runner.parent.mkdir()
        runner.write_text(f'#!/bin/sh\nexec {sys.executable} -m pytest "$@" -n 1 {options}\n')
        runner.chmod(0o755)
        make = ["make", "-f", str(REPOSITORY / "Makefile"), "-o", "develop", "BIN=bin", "test"]
        return subprocess.run(
            make, cwd=tmp_path, env=pytest_environment("xdist.plugin"), capture_output=True, text=True, check=False
        )

    return run


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine")


@needs_make
def test_what_passes_is_green(make_test: Callable[..., Ended]) -> None:
    done = make_test(OK)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("1 passed") == 2


@needs_make
@pytest.mark.parametrize(
    ("code", "tests", "conftest", "options"),
    [
        (1, "import os\ndef test_one(): os._exit(0)\n", "", ""),
        (2, OK + "import no_such_module\n", "", "-n 0"),
        (2, "import pytest\ndef test_one(): pytest.exit('enough')\n", "", "-n 0"),
        (3, OK, "def pytest_collection_modifyitems(): raise RuntimeError\n", "-n 0"),
        (4, OK, "", "--no-such-option"),
        (5, "", "", ""),
    ],
    ids=["a process that dies", "no import", "an interruption", "an internal error", "an unknown option", "no tests"],
)
def test_what_is_no_test_that_fails_is_red_too(
    make_test: Callable[..., Ended], code: int, tests: str, conftest: str, options: str
) -> None:
    done = make_test(tests, conftest, options)
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"Error {code}" in done.stderr


def test_only_a_test_that_measures_time_is_run_again_and_only_after_a_standstill(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(STANDS_STILL)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    timing\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q"],
        cwd=tmp_path,
        env=pytest_environment("tests.support.standstill"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "3 failed, 1 passed" in done.stdout
    assert "test_passes_the_second_time: run again, as this process stood still for 1." in done.stdout
    assert "run again after a standstill: 2" in done.stdout
    for said in ("twice only", "at once", "not marked"):
        assert said in done.stdout
