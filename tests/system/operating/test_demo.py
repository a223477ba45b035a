"""The demo, in its short form, as a person runs it and as CI does: without a terminal."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mailer.demo.figures import Figures
from mailer.demo.mail import Newsletter
from mailer.errors import InvalidMessage
from mailer.mail.address import parse
from mailer.producer.csv_file import CsvRecipients
from mailer.testbed.stats import Quantiles
from tests.support import REPOSITORY
from tests.support.command import command, completed, environment
from tests.support.running import gone, running


def play(folder: Path) -> tuple[dict[str, Any], str]:
    """The figures of a demo in its short form, and what it said."""
    # None of a person's own settings may lead it to a real account.
    env = environment(MAILER_REDIS_URL="redis://192.0.2.1/0", MAILER_LANES="only", AWS_PROFILE="absent")
    written = folder / "demo-report" / "demo.json"
    written.unlink(missing_ok=True)
    done = completed("demo", "--quick", env=env, cwd=folder)
    assert written.exists(), done.stdout + done.stderr
    found: dict[str, Any] = json.loads(written.read_text())
    assert (done.returncode == 0) == found["good"], done.stdout + done.stderr
    assert found["accepted"] == found["sent"] > 600
    assert (found["bad_rows"], found["duplicates"]) == (2, 1)
    assert (found["lost"], found["doubled"], found["left_running"]) == (0, 0, 0)
    return found, done.stdout


@pytest.mark.timing
@pytest.mark.timeout(900)
def test_it_sends_everything_once_at_the_allowed_rate_and_leaves_a_report(tmp_path: Path) -> None:
    report = tmp_path / "demo-report"
    for _ in range(3):
        found, said = play(tmp_path)
        # A simulator that stands still for a second gets in one moment what was sent in it, and says no to some.
        if not found["throttled"]:
            break
    assert found["good"] is True, said
    assert "Everything that was accepted was sent exactly once" in said
    assert found["urgent"]["count"] > 0
    assert (report / "demo.svg").read_text().startswith("<?xml")
    assert (report / "demo.png").read_bytes().startswith(b"\x89PNG")
    with (report / "bad-rows.csv").open(encoding="utf-8", newline="") as bad:
        assert [row["line"] for row in csv.DictReader(bad)] == ["18", "404"]


def test_told_to_end_it_ends_and_takes_everything_with_it(tmp_path: Path) -> None:
    env = environment(TMPDIR=str(tmp_path))
    with running(command("demo", "--quick"), env, tmp_path) as demo:
        demo.wait_for("sent [1-9]")
        processes = demo.children(5)
        assert demo.stop(signal.SIGTERM) == 128 + signal.SIGTERM
        assert gone(processes)
    assert list(tmp_path.glob("mailer-demo-*")) == []


def test_the_shipped_csv_is_what_its_script_writes() -> None:
    written = subprocess.run([sys.executable, "-m", "ops.recipients"], cwd=REPOSITORY, capture_output=True, check=True)
    assert written.stdout == Newsletter.shipped().csv.read_bytes()


def test_the_shipped_csv_has_four_thousand_people_and_bad_rows_that_are_meant(tmp_path: Path) -> None:
    domains: set[str] = set()
    keys: list[str | None] = []
    with CsvRecipients(Newsletter.shipped().csv, tmp_path / "bad.csv") as rows:
        for person in rows:
            try:
                domains.add(parse(person.to).address.rpartition("@")[2])
            except InvalidMessage as error:
                rows.refuse(error)
            else:
                keys.append(person.idempotency_key)
        assert rows.bad_rows == 8
    assert (len(keys), len(set(keys))) == (4_003, 4_000)
    assert all(domain.endswith(("example.com", "example.org", "example.net")) for domain in domains)
    assert any(domain.startswith("xn--") for domain in domains)


@pytest.mark.parametrize("wrong", ["lost", "doubled", "throttled", "left_running"])
def test_one_thing_wrong_is_enough_for_a_bad_verdict(wrong: str) -> None:
    fine: dict[str, int] = dict.fromkeys(("lost", "doubled", "throttled", "left_running"), 0)

    def figures(**counts: int) -> Figures:
        numbers = {**fine, **counts}
        return Figures(200, 200, 210, 1, 1, 0, 0, seconds=1, urgent=Quantiles.of([0.1]), **numbers)

    assert figures().good
    assert not figures(**{wrong: 1}).good
