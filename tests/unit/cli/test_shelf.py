"""``mailer dead``, ``held`` and ``scheduled``: what a person sees and does."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import resource
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mailer.cli.shelved import document, table
from mailer.producer.producer import Producer
from mailer.queue.shelf import Shelf
from mailer.settings import Settings
from mailer.testbed.waiting import until
from tests.support.account import LANES, Account, Worker
from tests.support.command import Mailer, command

NO = ("MessageRejected", "Email address is not verified: jane.doe@example.com")
MAIL: dict[str, Any] = {"sender": "Shop <shop@example.com>", "subject": "Your code", "text": "It is 4711."}


@pytest.fixture
def account(settings: Settings) -> Account:
    found = Account(settings)
    found.allow(rate=100_000, burst=50_000)
    return found


@pytest.fixture
def worker(account: Account) -> Worker:
    return Worker(account)


@pytest.fixture
def producer(account: Account) -> Producer:
    return Producer(account.queue)


def set_aside(worker: Worker, verb: str = "dead", words: tuple[str, str] = NO) -> list[str]:
    ids: list[str] = []
    while taken := worker.take(2000):
        for tag in taken:
            worker.settle_later(tag, verb, *words)
        worker.flush()
        ids += taken.values()
    return ids


@pytest.fixture
def jane(producer: Producer, worker: Worker) -> str:
    """A dead letter."""
    producer.send(to="Jane Doe <jane.doe@example.com>", tags={"campaign": "spring"}, **MAIL)
    return set_aside(worker)[0]


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_list_masks_addresses_unless_told_otherwise(mailer: Mailer, jane: str) -> None:
    shown = mailer("dead", "list")
    assert (shown.returncode, shown.stderr) == (0, "1 of 1 dead letters.\n")
    assert jane in shown.stdout
    assert "MessageRejected: Email address is not verified: j***@example.com" in shown.stdout
    assert "jane" not in shown.stdout + mailer("dead", "list", "--json").stdout + mailer("dead", "show", jane).stdout
    assert "jane.doe@example.com" in mailer("dead", "list", "--reveal").stdout
    (line,) = lines(mailer("dead", "list", "--json", "--reveal").stdout)
    assert (line["id"], line["lane"], line["to"]) == (jane, "transactional", "Jane Doe <jane.doe@example.com>")


def test_raw_mail_is_shown_by_its_headers(mailer: Mailer, producer: Producer, worker: Worker) -> None:
    raw = b"From: Shop <shop@example.com>\nSubject: Your\n code\nX-Mailer: vi\n\nIt is 4711.\n"
    message_id = producer.send_raw(raw, recipients="jane.doe@example.com")
    set_aside(worker)
    shown = mailer("dead", "show", message_id)
    assert shown.returncode == 0, shown.stderr
    for row in (r"sender +s\*\*\*@example\.com", r"Subject: +Your code", r"X-Mailer: +vi", r"size +raw 76 bytes"):
        assert re.search(row, shown.stdout), shown.stdout
    assert "4711" not in shown.stdout
    assert "jane" not in shown.stdout


@pytest.mark.parametrize("width", [80, 160])
def test_ids_and_reasons_are_whole_however_narrow_the_terminal(account: Account, jane: str, width: int) -> None:
    console = Console(width=width, file=io.StringIO())
    messages = (document(each, reveal=True) for each in Shelf(account.queue, "dead", LANES))
    console.print(table(messages, "dead", width=width))
    assert isinstance(console.file, io.StringIO)
    words = console.file.getvalue().split()
    assert {jane, "<jane.doe@example.com>", "verified:", "transactional"} <= set(words)


def test_list_shows_the_latest_and_says_that_there_is_more(mailer: Mailer, producer: Producer, worker: Worker) -> None:
    early = producer.send(to="a@example.com", **MAIL)
    set_aside(worker)
    for _ in range(3):
        producer.send(to="b@example.com", **MAIL)
        set_aside(worker)
    shown = mailer("dead", "list", "--limit", "3")
    assert shown.stderr == "3 of 4 dead letters. --limit shows more.\n"
    assert early not in shown.stdout
    assert len(lines(mailer("dead", "list", "--json", "--limit", "0").stdout)) == 4
    assert [line["id"] for line in lines(mailer("dead", "list", "--json", "--to", "a@example.com").stdout)] == [early]
    assert mailer("dead", "list", "--before", "1h").stderr == "No dead letters fit.\n"
    assert mailer("held", "list").stderr == "No held messages.\n"


def test_show_has_the_reason_and_what_came_before(mailer: Mailer, worker: Worker, jane: str) -> None:
    assert mailer("dead", "requeue", jane).stdout == "1 requeued.\n"
    set_aside(worker, "hold", ("ReadTimeout", "No answer from SES"))
    shown = mailer("held", "show", jane).stdout
    for part in ("Your code", "campaign=spring", "ReadTimeout: No answer from SES", "text 11 bytes", "MessageRejected"):
        assert part in shown
    shown_json = json.loads(mailer("held", "show", jane, "--json").stdout)
    assert [(each["shelf"], each["code"]) for each in shown_json["history"]] == [("dead", "MessageRejected")]
    assert shown_json["message"]["subject"] == "Your code"
    assert (mailer("dead", "show", jane).returncode, mailer("dead", "show", jane).stderr) == (
        *(1, f"mailer: {jane}: no such message is dead\n"),
    )


def test_nothing_in_a_message_reaches_the_terminal_as_a_command(mailer: Mailer, account: Account) -> None:
    worker = Worker(account)
    account.client.lpush(account.keys.lane("bulk"), '{"id": "\x1b[31mred"} no JSON')
    (tag,) = worker.take_raw(1)
    worker.settle(tag, "dead", "Undecodable", "No \x1b[31mJSON")
    for shown in (mailer("dead", "list").stdout, mailer("dead", "list", "--json").stdout):
        assert shown
        assert "\x1b" not in shown


def test_without_a_terminal_all_needs_a_yes(mailer: Mailer, account: Account, jane: str) -> None:
    for verb in ("requeue", "drop"):
        asked = mailer("dead", verb, "--all")
        assert (asked.returncode, asked.stderr) == (2, f"mailer: This would {verb} 1 dead letter. Add --yes\n")
    assert mailer("dead", "drop", jane).returncode == 2
    done = mailer("dead", "drop", "--all", "--yes")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 dropped.\n", "Drop 1 dead letter.\n")
    assert account.whereabouts() == []


@pytest.mark.parametrize(("answer", "left"), [("n", 1), ("y", 0)])
def test_on_a_terminal_it_asks(
    account: Account, account_environment: dict[str, str], jane: str, answer: str, left: int
) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command("dead", "drop", "--lane", "transactional"),
        env=account_environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    while b"[y/N]" not in shown:
        shown += os.read(ours, 1000)
    assert b"Drop 1 dead letter (lane transactional)?" in shown
    os.write(ours, answer.encode() + b"\n")
    assert process.wait(60) == (1 if left else 0)
    os.close(ours)
    assert len(account.whereabouts()) == left


def test_which_has_to_be_said_in_one_way(mailer: Mailer, jane: str) -> None:
    assert "--all" in mailer("dead", "drop", "--yes").stderr
    assert "one of the three" in mailer("dead", "drop", jane, "--lane", "bulk", "--yes").stderr
    done = mailer("dead", "requeue", jane, "unheard-of")
    assert (done.returncode, done.stdout, done.stderr) == (
        *(1, "1 requeued.\n", "unheard-of: no such message is dead\n"),
    )


def test_expired_mail_is_refused_unless_given_a_new_expiry(
    mailer: Mailer, account: Account, producer: Producer, worker: Worker
) -> None:
    expiry = datetime.now(UTC) + timedelta(hours=1)
    message_id = producer.send(to="a@example.com", expires_at=expiry, **MAIL)
    set_aside(worker)
    stored = account.client.hget(account.keys.aside("dead"), message_id)
    assert isinstance(stored, bytes)
    passed = stored.replace(expiry.isoformat().encode(), (expiry - timedelta(hours=2)).isoformat().encode())
    assert passed != stored
    account.client.hset(account.keys.aside("dead"), message_id, passed)
    refused = mailer("dead", "requeue", message_id)
    assert (refused.returncode, refused.stdout) == (1, "0 requeued.\n")
    assert "expires_at: has passed" in refused.stderr
    assert mailer("dead", "requeue", message_id, "--expires-at", "2h").stdout == "1 requeued.\n"


def test_the_persons_verdicts_on_held_mail(mailer: Mailer, account: Account, producer: Producer) -> None:
    ids = producer.send(to=["a@example.com", "b@example.com"], **MAIL)
    set_aside(Worker(account), "hold", ("ReadTimeout", "No answer"))
    assert mailer("held", "sent", ids[0]).stdout == "1 taken as delivered, and deleted.\n"
    assert mailer("held", "requeue", ids[1], "--first").stdout == "1 requeued.\n"
    assert account.length("transactional") == 1
    assert mailer("dead", "sent", ids[0]).returncode == 2


def test_scheduled_mail_is_listed_requeued_and_dropped(mailer: Mailer, account: Account, producer: Producer) -> None:
    def send(hours: int) -> str:
        return producer.send(to="a@example.com", send_at=datetime.now(UTC) + timedelta(hours=hours), **MAIL)

    last, first = send(5), send(1)
    assert [line["id"] for line in lines(mailer("scheduled", "list", "--json").stdout)] == [first, last]
    assert [line["id"] for line in lines(mailer("scheduled", "list", "--json", "--before", "2h").stdout)] == [first]
    assert mailer("scheduled", "requeue", last).stdout == "1 requeued.\n"
    assert account.length("transactional") == 1
    assert mailer("scheduled", "drop", "--after", "30m", "--yes").stdout == "1 dropped.\n"
    assert "no reason" in mailer("scheduled", "list", "--code", "MessageRejected").stderr


def test_an_export_is_a_new_file_for_its_owner(mailer: Mailer, jane: str, tmp_path: Path) -> None:
    file = tmp_path / "dead.jsonl"
    done = mailer("dead", "export", str(file), "--all")
    assert (done.returncode, done.stderr) == (0, "1 dead letter written, with addresses and bodies in the clear.\n")
    assert file.stat().st_mode & 0o777 == 0o600
    (line,) = lines(file.read_text())
    assert json.loads(line["envelope"])["headers"]["id"] == jane
    assert lines(mailer("dead", "export", "-", jane).stdout) == [line]
    assert lines(mailer("dead", "export", "-", "--all").stdout) == [line]
    assert "one of the three" in mailer("dead", "export", "-", jane, "--all").stderr
    assert "is there already" in mailer("dead", "export", str(file), "--all").stderr


def test_an_export_that_finds_no_room_leaves_nothing_that_looks_whole(
    mailer: Mailer, producer: Producer, worker: Worker, tmp_path: Path
) -> None:
    producer.send(to=[f"{number}@example.com" for number in range(100)], **MAIL)
    set_aside(worker)
    file = tmp_path / "dead.jsonl"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, before[1]))
    try:
        done = mailer("dead", "export", str(file), "--all")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert done.returncode == 1
    assert done.stderr.startswith(f"mailer: {file}: cannot be written (File too large)")
    assert not list(tmp_path.glob("dead*"))


def test_an_export_of_names_has_those_that_are_there(mailer: Mailer, jane: str, tmp_path: Path) -> None:
    file = tmp_path / "dead.jsonl"
    done = mailer("dead", "export", str(file), jane, "unheard-of")
    assert (done.returncode, "unheard-of" in done.stderr) == (1, True)
    assert len(lines(file.read_text())) == 1


def test_a_killed_requeue_loses_and_doubles_nothing(
    mailer: Mailer, account: Account, producer: Producer, worker: Worker, account_environment: dict[str, str]
) -> None:
    everybody = [f"{i}@example.com" for i in range(10_000)]
    producer.send_many(everybody, sender="a@example.com", subject="Hi", text="Hello.")
    ids = sorted(set_aside(worker))
    for _ in range(10):
        process = subprocess.Popen(command("dead", "requeue", "--all", "--yes"), env=account_environment)
        until(lambda: account.length("bulk") > 0)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if account.length("bulk") < len(ids):
            break
        # It was done before it could be killed.
        set_aside(worker)
    assert 0 < account.length("bulk") < len(ids)
    assert sorted(account.whereabouts()) == ids
    assert account.client.hvals(account.keys.references) == [b"10000"]
    moved = re.match(r"([\d,]+) requeued", mailer("dead", "requeue", "--all", "--yes").stdout)
    assert moved is not None
    assert account.length("bulk") == len(ids)
    assert sorted(account.whereabouts()) == ids
