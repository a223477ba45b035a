"""The command as a producer's user, who may only enqueue: it says so, and whose user looks further."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from mailer.queue.keys import Keys
from mailer.settings import Settings
from tests.support.account import producers_rights
from tests.support.command import command


@pytest.fixture
def as_producer(
    account_environment: dict[str, str], client: redis.Redis, settings: Settings
) -> Iterator[dict[str, str]]:
    user = f"producer-{settings.account}"
    client.execute_command("ACL", "SETUSER", user, "reset", "on", ">secret", *producers_rights(Keys.of(settings)))
    url = account_environment["MAILER_REDIS_URL"].replace("redis://", f"redis://{user}:secret@")
    yield account_environment | {"MAILER_REDIS_URL": url}
    client.execute_command("ACL", "DELUSER", user)


def run(environment: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("find", "a@example.com"),
        ("pause", "--reason", "x"),
        ("dead", "list"),
        ("held", "list"),
        ("show", "1"),
        ("rate",),
    ],
    ids=lambda arguments: arguments[0],
)
def test_what_a_producer_may_not_do_names_the_operators_user(
    as_producer: dict[str, str], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = run(as_producer, tmp_path, *arguments)
    assert done.returncode == 2, done.stderr
    assert "A producer's user may only enqueue, in its lanes: use the operator's user" in done.stderr


def test_doctor_knows_a_producers_user_and_gives_it_no_more_rights(as_producer: dict[str, str], tmp_path: Path) -> None:
    done = run(as_producer, tmp_path, "doctor", "--no-ses", "--json")
    findings = {each["about"]: each for each in json.loads(done.stdout)["findings"]}
    assert findings["rights"]["level"] == "note"
    assert "this user may only enqueue" in findings["rights"]["text"]
    assert "operator's user" in findings["rights"]["remedy"]
    assert "+@all" not in done.stdout
    assert {"workers", "account", "keys"}.isdisjoint(findings)
    assert not [each for each in findings.values() if "could not be looked at" in each["text"]]
