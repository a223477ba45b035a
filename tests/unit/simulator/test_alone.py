"""The simulator stands alone: its extra is all that it imports, and its plugin costs other projects nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

IMPORT_ALL = """
import pkgutil, sys
from importlib import import_module
import mailer.simulator
for each in pkgutil.walk_packages(mailer.simulator.__path__, "mailer.simulator."):
    if each.name not in {"mailer.simulator.pytest_plugin"}:
        import_module(each.name)
print(*sorted(sys.modules))
"""
PLUGIN = """
import sys
import pytest
before = set(sys.modules)
import mailer.simulator.pytest_plugin
print(*sorted(set(sys.modules) - before))
"""


def printed(code: str) -> list[str]:
    """The words that the code prints, in an interpreter of its own."""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    return ended.stdout.split()


def needed(requirements: list[str]) -> set[str]:
    """The distributions of the requirements, and of theirs."""
    found: set[str] = set()
    waiting = [*map(named, requirements)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            with suppress(PackageNotFoundError):  # one that another system or version of Python needs
                waiting += map(named, (each for each in requires(name) or () if "extra ==" not in each))
    return found


def named(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-")


def test_it_imports_what_its_extra_brings_and_no_more() -> None:
    extra = [each for each in requires("mailer") or () if 'extra == "simulator"' in each.replace("'", '"')]
    allowed = needed(extra)
    assert not {"celery", "kombu", "pycurl", "redis", "boto3", "starlette", "uvicorn"} & allowed
    imported = {name.partition(".")[0] for name in printed(IMPORT_ALL)}
    foreign = {name.lower() for module in imported for name in packages_distributions().get(module, ())}
    assert {name.replace("_", "-") for name in foreign} - allowed <= {"mailer", "setuptools"}
    assert {"aiosmtpd", "trustme", "pydantic", "httptools"} <= imported


def test_it_uses_of_mailer_only_what_keeps_others_out() -> None:
    used = {name for name in printed(IMPORT_ALL) if name.startswith("mailer.") and "simulator" not in name}
    assert used <= {"mailer.guard", "mailer.user", "mailer.errors", "mailer.masking"}  # the last two: mailer's own


def test_the_plugin_imports_nothing_until_a_test_asks_for_the_simulator() -> None:
    imported = {name.partition(".")[0] for name in printed(PLUGIN)} - sys.stdlib_module_names
    assert imported == {"mailer"}
    assert {name for name in printed(PLUGIN) if "simulator" in name} == {
        "mailer.simulator",
        "mailer.simulator.pytest_plugin",
    }


def test_without_uvloop_it_runs_all_the_same() -> None:
    code = (
        "import sys; sys.modules['uvloop'] = None\n"
        "from mailer.simulator.__main__ import main\n"
        "main(['--port', '0', '--stop-with-stdin'])\n"
    )
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, input="", capture_output=True, text=True, check=False, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert '"http": "http://127.0.0.1:' in ended.stdout
