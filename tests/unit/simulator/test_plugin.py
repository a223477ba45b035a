"""The pytest plugin as its users meet it: in a pytest of its own, found by its entry point."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.support import REPOSITORY

EXAMPLES = REPOSITORY / "examples" / "testing"

pytestmark = pytest.mark.skipif(
    "ses_simulator" not in {each.name for each in entry_points(group="pytest11")},
    reason="the plugin's entry point is not installed: run make develop",
)

Run = Callable[..., tuple[int, str]]

APP = """
import boto3
from tests.support import REPOSITORY

def send(to="ann@example.com"):
    return boto3.client("sesv2").send_email(
        FromEmailAddress="a@example.com",
        Destination={"ToAddresses": [to]},
        Content={"Simple": {"Subject": {"Data": "Hi"}, "Body": {"Text": {"Data": "x"}}}},
    )
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs pytest on a test file; returns how it ended and what it said."""
    (tmp_path / "app.py").write_text(APP)

    def pytest_on(test: str, *flags: str, ini: str = "[pytest]\n") -> tuple[int, str]:
        (tmp_path / "pytest.ini").write_text(ini)
        (tmp_path / "test_it.py").write_text(test)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--strict-markers", *flags]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
        return ended.returncode, ended.stdout + ended.stderr

    return pytest_on


def test_an_application_finds_the_simulator_by_itself_and_each_test_starts_afresh(run: Run) -> None:
    code, said = run(
        "import os\n"
        "from app import send\n"
        "def test_one(ses_simulator):\n"
        "    send()\n"
        "    assert len(ses_simulator.messages()) == 1\n"
        "    ses_simulator.set_account(quota=0)\n"
        "    ses_simulator.add_fault('error')\n"
        "def test_two(ses_simulator):\n"
        "    assert ses_simulator.messages() == []\n"
        "    send()\n"
        "def test_three():\n"
        "    assert 'AWS_ENDPOINT_URL_SESV2' not in os.environ\n"
    )

    assert (code, "3 passed" in said) == (0, True), said


def test_the_account_is_set_by_marker_ini_and_flag(run: Run) -> None:
    code, said = run(
        "import pytest\n"
        "from app import send\n"
        "pytestmark = pytest.mark.ses_simulator(quota=9, rate=3)\n"
        "@pytest.mark.ses_simulator(rate=2, outcomes={'bounce': 1}, faults=[{'kind': 'latency', 'latency': '1ms'}])\n"
        "def test_one(ses_simulator):\n"
        "    account = ses_simulator.account()\n"
        "    assert (account['rate'], account['quota'], account['control_rate']) == (2, 9, 5)\n"
        "    send()\n"
        "    assert [event['eventType'] for event in ses_simulator.events()] == ['Send', 'Bounce']\n"
        "    assert [each['target'] for each in ses_simulator.destinations()] == ['mine']\n"
        "    assert ses_simulator.faults()[0]['latency'] == '1ms'\n",
        "--ses-simulator=--control-rate 5",
        ini="[pytest]\nses_simulator = --control-rate 4 --queue mine\n",
    )

    assert (code, "1 passed" in said) == (0, True), said


@pytest.mark.parametrize(("flag", "region"), [("", "us-east-1"), ("--region eu-west-1", "eu-west-1")])
def test_the_terms_hold_whatever_the_environment_says(
    run: Run, monkeypatch: pytest.MonkeyPatch, flag: str, region: str
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    code, said = run(
        "import os\n"
        "import pytest\n"
        "from app import send\n"
        "@pytest.mark.ses_simulator(quota=0)\n"
        "def test_one(ses_simulator):\n"
        "    assert 'AWS_IGNORE_CONFIGURED_ENDPOINT_URLS' not in os.environ\n"
        "    with pytest.raises(Exception, match='Daily message quota exceeded'):\n"
        "        send()\n"
        f"    assert ses_simulator.account()['region'] == '{region}'\n",
        ini=f"[pytest]\nses_simulator = {flag}\n",
    )

    assert (code, "1 passed" in said) == (0, True), said


def test_a_wrong_term_fails_the_test_with_what_is_wrong(run: Run) -> None:
    code, said = run("import pytest\n@pytest.mark.ses_simulator(rate=-1)\ndef test_one(ses_simulator): pass\n")

    assert code == 1
    assert "rate must be above 0, not -1" in said


def test_the_process_ends_with_the_run(run: Run) -> None:
    code, said = run("def test_one(ses_simulator): print('pid', ses_simulator.pid, 'end')\n", "-s")

    assert code == 0, said
    assert not Path(f"/proc/{said.partition('pid ')[2].partition(' end')[0]}").exists()


def test_the_example_works() -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    ended = subprocess.run(command, cwd=EXAMPLES, capture_output=True, text=True, check=False, timeout=300)

    assert ended.returncode == 0, ended.stdout
    assert "6 passed" in ended.stdout
