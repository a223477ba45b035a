"""``--json``: each command prints what docs/json.schema.json says, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from mailer.queue import limits
from mailer.queue.limits import SesLimits
from mailer.settings import Settings
from ops.docs.documents import printed
from tests.support import REPOSITORY
from tests.support.account import Account, Worker
from tests.support.command import Mailer

SCHEMA = json.loads((REPOSITORY / "docs" / "json.schema.json").read_text(encoding="utf-8"))
PRINTED = dict(printed())
SEND = ("send", "--to", "a@example.com", "--from", "me@example.com", "--subject", "Hi", "--text", "Hi there")

Said = Callable[..., list[Any]]


@pytest.fixture
def said(mailer: Mailer) -> Said:
    """Runs ``mailer ARGUMENTS --json`` and returns its documents, each checked against its schema."""

    def run(*arguments: str, code: int = 0, err: bool = False) -> list[Any]:
        done = mailer(*arguments, "--json")
        assert done.returncode == code, done.stderr
        found = [json.loads(line) for line in (done.stderr if err else done.stdout).splitlines()]
        typed = " ".join(("mailer", *arguments, ""))
        document = next(each for line, each in PRINTED.items() if typed.startswith(line.removesuffix("--json")))
        schema = {**SCHEMA, "$ref": f"#/$defs/{document.kind.__name__}", "unevaluatedProperties": False}
        for each in found:
            Draft202012Validator(schema).validate(each)
        assert document.each or len(found) == 1
        return found

    return run


def moment(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    assert at.utcoffset() == timedelta(0)
    return at


@pytest.fixture
def dead(account: Account, said: Said) -> str:
    [sent] = said(*SEND, "--lane", "bulk", "--tag", "campaign=spring")
    worker = Worker(account)
    (tag,) = worker.take(1)
    worker.settle_later(tag, "dead", "MessageRejected", "No: a@example.com")
    worker.flush()
    return str(sent["id"])


def test_what_is_sent_and_imported(said: Said, tmp_path: Path) -> None:
    first, second = said(*SEND, "--to", "b@example.com")
    assert (first["to"], second["to"]) == ("a@example.com", "b@example.com")
    (tmp_path / "people.csv").write_text("email\na@example.com\nnobody\n")
    [imported] = said("import", "people.csv", *SEND[3:])
    assert imported == {"accepted": 1, "bad": 1, "duplicates": 0, "report": "people.csv.bad.csv"}


def test_what_became_of_a_message(said: Said, dead: str) -> None:
    [shown] = said("show", dead)
    [found] = said("find", "a@example.com")
    assert [event["what"] for event in shown["events"]] == ["accepted", "dead"]
    for each in (shown, found):
        assert (each["id"], each["state"], each["to"]) == (dead, "dead", "a***@example.com")
    assert shown["words"] == "No: a***@example.com"
    assert moment(shown["accepted_at"]) <= moment(shown["last_at"]) <= datetime.now(UTC) + timedelta(minutes=1)


def test_what_a_person_does_with_dead_letters(said: Said, dead: str, tmp_path: Path) -> None:
    [listed] = said("dead", "list")
    [shown] = said("dead", "show", dead, "--reveal")
    assert (listed["id"], listed["name"], listed["detail"]) == (dead, None, "No: a***@example.com")
    assert (shown["detail"], shown["message"]["tags"]) == ("No: a@example.com", "campaign=spring")
    assert said("dead", "export", "dead.jsonl", "--all") == [{"exported": 1, "file": "dead.jsonl"}]
    assert said("dead", "export", "-", "--all", err=True) == [{"exported": 1, "file": "-"}]
    assert said("dead", "requeue", dead, "none", code=1) == [{"moved": 1, "refused": {}, "missing": ["none"]}]
    assert said("dead", "drop", "none", "--yes", code=1) == [{"dropped": 0, "missing": ["none"]}]
    assert said("dead", "list") == []


def test_what_holds_the_account_up(said: Said, settings: Settings, client: Any) -> None:
    limits.write(client, settings.model_copy(update={"rate_per_second": 14.0}), "host-a:1", SesLimits(50, 1000))
    [paused] = said("pause", "--reason", "moving", "--until", "2h")
    assert moment(paused["until"]) > datetime.now(UTC) + timedelta(hours=1)
    assert (paused["account"], paused["lane"], paused["reason"]) == (settings.account, None, "moving")
    said("pause", "--reason", "wrong letter", "--lane", "bulk")
    [state] = said("status")
    assert (state["state"], state["until"]) == ("paused", paused["until"])
    assert moment(state["rate"]["read_at"]) <= moment(state["at"])
    resumed = {"account": settings.account, "lane": None, "resumed": True, "still_paused": ["bulk"]}
    assert said("resume") == [resumed]
    [rate] = said("rate", "5", "--until", "2h")
    assert (rate["rate"]["source"], rate["rate"]["person"]["per_second"]) == ("person", 5)
    assert moment(rate["rate"]["person"]["until"]) > moment(rate["at"])


def test_what_the_doctor_finds(said: Said) -> None:
    [examined] = said("doctor", "--no-ses", code=1)
    assert examined["ok"] is False
