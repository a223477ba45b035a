"""What `pip install mailer` brings, without extras, is enough to send; a command that needs an extra names it."""

from __future__ import annotations

import fnmatch
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support import REPOSITORY
from tests.support.command import environment

PROJECT: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def required() -> set[str]:
    """The distributions that the dependencies lead to, as pip would follow them."""
    found: set[tuple[str, frozenset[str]]] = set()
    waiting = [(Requirement(text), frozenset({""})) for text in PROJECT["project"]["dependencies"]]
    while waiting:
        requirement, wanted = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset({"", *requirement.extras})
        marker = requirement.marker
        if (name, extras) in found or (marker and not any(marker.evaluate({"extra": extra}) for extra in wanted)):
            continue
        found.add((name, extras))
        waiting += [(Requirement(text), extras) for text in distribution(name).requires or ()]
    return {name for name, _ in found}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a plain install has on its path, and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    for name in required():
        for file in distribution(name).files or ():
            top = Path(file.parts[0])
            place = folder / top
            if file.parts[0] not in {"..", "__pycache__"} and not place.is_symlink():
                place.symlink_to(Path(str(distribution(name).locate_file(top))))
    (folder / "mailer").symlink_to(REPOSITORY / "mailer")
    return folder


def run(bare: Path, *words: str) -> subprocess.CompletedProcess[str]:
    # -S: without site-packages.
    return subprocess.run(
        [sys.executable, "-S", *words],
        env=environment(PYTHONPATH=str(bare)),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_plain_install_has_all_that_a_worker_and_a_producer_import(bare: Path) -> None:
    modules = ("mailer", "mailer.worker.app", "mailer.worker.pool", "mailer.ses.transports", "mailer.cli.doctor")
    done = run(bare, "-c", "\n".join(f"import {module}" for module in modules))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["up", "simulate", "flower", "bench", "demo"])
def test_a_command_that_needs_more_says_what_to_install(bare: Path, command: str) -> None:
    done = run(bare, "-c", "from mailer.cli.main import main; main()", command, "--help")
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    extras = done.stderr.partition("install mailer[")[2].partition("]")[0].split(",")
    assert extras
    assert set(extras) <= PROJECT["project"]["optional-dependencies"].keys()


def test_the_image_is_built_from_files_that_its_context_has() -> None:
    ignored = (REPOSITORY / "ops" / "Dockerfile.dockerignore").read_text().split()
    let_in = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    lines = (REPOSITORY / "ops" / "Dockerfile").read_text().splitlines()
    copied = {
        word for line in lines if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]
    }
    built = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*built["packages"], *built["force-include"], PROJECT["project"]["readme"], "pyproject.toml"}
    assert needed <= copied
    assert all(any(fnmatch.fnmatch(one, pattern) for pattern in let_in) for one in copied)


def test_an_install_for_users_brings_no_test_tools_and_one_for_developers_does() -> None:
    lines = {
        target: subprocess.run(
            ["make", "-Bn", target], cwd=REPOSITORY, capture_output=True, text=True, check=True
        ).stdout
        for target in ("install", "develop")
    }
    assert "uv sync" in lines["develop"]
    assert ["--no-dev" in lines[target] for target in ("install", "develop")] == [True, False]
