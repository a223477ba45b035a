"""What a producer, a mail or SES wrote, on the terminal of whoever looks at it."""

from __future__ import annotations

import json

import pytest

from mailer.envelope import Envelope
from mailer.settings import Settings
from tests.broker.conftest import Account
from tests.cli.conftest import Mailer

ESCAPES = "\x1b]52;c;cm0gLXJm\x07\x9b2J"
MARKUP = "[/nothing] [link=file:///etc/passwd]here[/link] [bold]"


@pytest.fixture
def account(settings: Settings) -> Account:
    return Account(settings)


def put(account: Account, lane: str, message_id: str) -> None:
    """What a producer may do: write any name of a lane into the schedule, and any text into an envelope."""
    envelope = Envelope(lane).inline(message_id, {"to": f"{MARKUP}{ESCAPES}@example.com"}, "")
    account.client.zadd(account.keys.schedule, {b"000000000000001\n" + lane.encode() + b"\n" + envelope: 4e15})
    reason = {"lane": lane, "at_us": "1764590400000000", "code": f"Code{MARKUP}", "detail": f"Words {MARKUP}{ESCAPES}"}
    shelved = json.dumps(reason).encode() + b"\n" + envelope
    account.client.hset(account.keys.aside("dead"), f"dead-{message_id}", shelved)
    account.client.zadd(account.keys.aside_index("dead"), {f"dead-{message_id}": 1764590400000000})


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "one"),
        ("show", "dead-one"),
        ("dead", "list"),
        ("dead", "list", "--reveal"),
        ("dead", "show", "dead-one"),
        ("dead", "requeue", "dead-one"),
        ("scheduled", "list", "--reveal"),
        ("status",),
    ],
)
def test_a_terminal_is_shown_what_others_wrote_and_obeys_nothing_of_it(
    mailer: Mailer, account: Account, arguments: tuple[str, ...]
) -> None:
    put(account, f"bulk{MARKUP}{ESCAPES}", "one")
    done = mailer(*arguments)
    assert "Traceback" not in done.stderr
    assert [each for each in done.stdout + done.stderr if not each.isprintable() and each != "\n"] == []


def test_what_looks_like_markup_is_shown_as_it_stands(mailer: Mailer, account: Account) -> None:
    put(account, "bulk", "one")
    assert "Words [/nothing] [link=file:///etc/passwd]here[/link] [bold]" in mailer("show", "dead-one").stdout
