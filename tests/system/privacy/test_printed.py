"""What the command shows of others' words: nothing in them acts in a terminal, or is taken for markup."""

from __future__ import annotations

import io
import json
from typing import Literal

import pytest
import redis
from rich.table import Table
from rich.text import Text

from mailer.cli import show
from mailer.cli.console import PlainConsole
from mailer.cli.printed import json_line, plain
from mailer.operations.history import History
from mailer.queue.envelope import Envelope
from mailer.queue.keys import Keys
from mailer.queue.records import Line
from mailer.settings import Settings
from tests.support.account import allow
from tests.support.command import Mailer

HOSTILE = "[/red][link=http://evil.example]x[/link] :skull: \x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe\x7f"
SAID = "[/red][link=http://evil.example]x[/link] :skull: "


def harmless(text: str) -> bool:
    return all(each.isprintable() or each == "\n" for each in text)


def test_nothing_but_text_and_lines_is_left_of_a_text() -> None:
    assert plain(HOSTILE) == SAID + "�]0;owned��[2J�31m�gnp.exe�"
    assert plain("Grüße,\nAnn 🎈") == "Grüße,\nAnn 🎈"
    assert plain("\ud800") == "�"


def test_json_is_readable_and_escapes_what_acts() -> None:
    assert json_line({"to": "Grüße 🎈"}) == '{"to": "Grüße 🎈"}'
    line = json_line({"words": HOSTILE + "\U000e0001"})
    assert harmless(line)
    assert json.loads(line) == {"words": HOSTILE + "\U000e0001"}


@pytest.mark.parametrize("terminal", [False, True])
def test_a_console_shows_brackets_and_hides_what_acts(terminal: bool) -> None:
    output = io.StringIO()
    colours: Literal["standard"] | None = "standard" if terminal else None
    console = PlainConsole(file=output, width=200, force_terminal=terminal, color_system=colours)
    table = Table("name", "what")
    table.add_row(HOSTILE, Text(HOSTILE, style="red"))
    console.print(table)
    console.print(HOSTILE)
    shown = output.getvalue()
    assert shown.count("[link=http://evil.example]") == 3
    assert ("\x1b[31m" in shown) is terminal, "our own colours are the only ones"
    assert not any(each in shown for each in ("\x1b]0", "\x1b[2J", "\x9b", "\u202e", "\x7f", "\x07"))


def test_what_a_person_gave_as_a_reason_does_not_act_in_status(
    client: redis.Redis, settings: Settings, mailer: Mailer
) -> None:
    allow(client, settings, rate=10, quota=-1)
    assert mailer("pause", "--reason", HOSTILE).returncode == 0
    assert mailer("pause", "--reason", HOSTILE, "--lane", "bulk").returncode == 0
    assert mailer("rate", "5", "--reason", HOSTILE).returncode == 0
    for arguments in (["status"], ["rate"], ["status", "--json"]):
        done = mailer(*arguments)
        assert (done.returncode, harmless(done.stdout)) == (0, True), done.stderr
        assert "[link=http://evil.example]" in done.stdout


def test_what_stands_in_redis_does_not_act_in_show_find_and_errors(
    client: redis.Redis, settings: Settings, mailer: Mailer
) -> None:
    name = "[/red]\x1b[2J"
    for arguments in ("show", "dead show", "dead requeue", "held drop --yes"):
        done = mailer(*arguments.split(), name)
        assert done.returncode != 0
        assert harmless(done.stdout + done.stderr)
        assert "Traceback" not in done.stderr
    client.lpush(Keys.of(settings).lane("bulk"), HOSTILE)
    assert harmless(mailer("status").stdout)


def test_what_ses_said_of_a_message_does_not_act() -> None:
    line = Line(1e9, "dead", "id[/red]\x1b[2J", HOSTILE, None, None, 1, "digest", HOSTILE, HOSTILE)
    output = io.StringIO()
    PlainConsole(file=output, width=300).print(show.screen(History(line.id, (line,), None)))
    assert harmless(output.getvalue())
    assert "id[/red]�[2J" in output.getvalue()


@pytest.mark.parametrize(
    "arguments", ["show one", "show dead-one", "dead list --reveal", "dead show dead-one", "scheduled list --reveal"]
)
def test_what_a_producer_wrote_of_lanes_and_recipients_does_not_act(
    client: redis.Redis, settings: Settings, mailer: Mailer, arguments: str
) -> None:
    keys = Keys.of(settings)
    lane = f"bulk{HOSTILE}"
    envelope = Envelope(lane).inline("one", {"to": f"{HOSTILE}@example.com"}, "")
    client.zadd(keys.schedule, {b"000000000000001\n" + lane.encode() + b"\n" + envelope: 4e15})
    reason = json.dumps({"lane": lane, "at_us": "1764590400000000", "code": HOSTILE, "detail": HOSTILE})
    client.hset(keys.aside("dead"), "dead-one", reason.encode() + b"\n" + envelope)
    client.zadd(keys.aside_index("dead"), {"dead-one": 1764590400000000})
    done = mailer(*arguments.split())
    assert (done.returncode, harmless(done.stdout + done.stderr)) == (0, True), done.stderr
    assert "[link=http://evil.example]" in done.stdout
