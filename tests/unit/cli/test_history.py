"""``mailer show`` and ``mailer find``: what became of a message, and of those to an address."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from mailer.producer.producer import Producer
from mailer.queue.records import note
from mailer.queue.settlement import Settlement
from mailer.settings import Settings
from tests.support.account import Account, Worker
from tests.support.command import Mailer

SES_ID = "0100018c7e5b3c4d-3f1d5b1c-1234-5678-9abc-def012345678-000000"


@pytest.fixture
def account(settings: Settings) -> Account:
    found = Account(settings)
    found.allow(rate=1000, burst=100)
    return found


@pytest.fixture
def producer(account: Account) -> Producer:
    return Producer(account.queue, account.settings.lanes)


def send(producer: Producer, to: str = "jane@example.com", **options: object) -> str:
    return producer.send(to=to, sender="a@example.com", subject="Hello", text="Hello.", **options)  # type: ignore[call-overload,no-any-return]


def settled(
    account: Account,
    verb: str,
    first: object = "",
    second: object = "",
    *,
    to: str = "jane@example.com",
    **answer: str,
) -> None:
    """The next message, taken and settled as a worker would."""
    worker = Worker(account)
    ((tag, message_id),) = worker.take(1).items()
    lease = worker.leases.lease(tag)
    assert lease is not None
    accepted = lease.taken_us // 1000 - 5
    told = note(message_id, lease.lane, accepted, lease.taken_us, 1, to, **answer)
    worker.leases.settle(tag, Settlement(verb, first, second, told))
    worker.take(0)


def test_the_life_of_a_message_in_order(mailer: Mailer, account: Account, producer: Producer) -> None:
    message_id = send(producer)
    waiting = mailer("show", message_id)
    assert waiting.returncode == 0
    assert "now      waiting" in waiting.stdout
    assert "j***@example.com" in waiting.stdout
    account.client.hdel(account.keys.account, "tat")
    settled(account, "throttled", answer="TooManyRequestsException", words="Maximum sending rate exceeded.")
    account.client.hdel(account.keys.account, "tat")
    settled(account, "sent", answer=SES_ID)

    shown = mailer("show", message_id).stdout
    words = ["accepted", "attempt 1: taken", "SES refused the rate", "attempt 1: taken", "attempt 1: sent"]
    places = [shown.index(words[0])]
    for each in words[1:]:
        places.append(shown.index(each, places[-1] + 1))
    assert "(TooManyRequestsException: Maximum sending rate exceeded.)" in shown
    assert re.search(r"^now +sent +$", shown, re.MULTILINE)
    assert f"SES id   {SES_ID}" in mailer("show", message_id, COLUMNS="80").stdout, "in one piece"
    assert "jane" not in shown


def test_a_scheduled_message_says_for_when(mailer: Mailer, producer: Producer) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    message_id = send(producer, send_at=at)
    assert f"scheduled for {at.astimezone():%Y-%m-%d %H:%M:%S}" in mailer("show", message_id).stdout
    until = datetime.fromisoformat(json.loads(mailer("show", message_id, "--json").stdout)["until"])
    assert abs(until - at) < timedelta(seconds=0.01)


def test_a_state_is_shown_whole_where_a_terminal_is_narrow_or_none(mailer: Mailer, producer: Producer) -> None:
    send(producer, send_at=datetime.now(UTC) + timedelta(hours=1))
    assert " scheduled" in mailer("find", "jane@example.com", COLUMNS="80").stdout


def test_an_id_that_nobody_knows_is_an_error_that_says_how_long_records_are_kept(mailer: Mailer) -> None:
    done = mailer("show", "nonsense")
    assert (done.returncode, done.stdout) == (1, "")
    assert "MAILER_RECORD_HOURS" in done.stderr


def test_messages_are_found_by_their_recipient_however_it_is_written(
    mailer: Mailer, account: Account, producer: Producer
) -> None:
    sent = send(producer, "Jane Doe <JANE@Example.com>")
    settled(account, "sent", to="Jane Doe <JANE@example.com>", answer=SES_ID)
    waiting = send(producer, lane="bulk")
    send(producer, "joan@example.com")
    found = [json.loads(line) for line in mailer("find", "jane@EXAMPLE.com", "--json").stdout.splitlines()]
    assert {each["id"]: each["state"] for each in found} == {sent: "sent", waiting: "waiting"}
    table = mailer("find", "Jane <jane@example.com>").stdout
    assert {tuple(line.split()[2:]) for line in table.splitlines() if sent in line or waiting in line} == {
        (sent, "transactional", "sent"),
        (waiting, "bulk", "waiting"),
    }
    assert "1 more: see them with --limit 2" in mailer("find", "jane@example.com", "--limit", "1").stderr


def test_nothing_to_an_address_is_no_error_and_no_address_is_one(mailer: Mailer) -> None:
    none = mailer("find", "nobody@example.com")
    assert (none.returncode, none.stdout, "No message to nobody@example.com" in none.stderr) == (0, "", True)
    wrong = mailer("find", "nobody@")
    assert (wrong.returncode, "ADDRESS: has no valid domain" in wrong.stderr) == (2, True)
