"""docs/design.md says what the code does: its table of verbs, its files, and its way of a message."""

from __future__ import annotations

import re

from mailer.queue.settlement import VERBS
from tests.support import REPOSITORY

TEXT = (REPOSITORY / "docs" / "design.md").read_text(encoding="utf-8")
MOST_STATIONS = 30


def test_the_table_of_verbs_is_that_of_the_code() -> None:
    rows = [
        f"| `{name}` | {verb.words} | {'yes' if verb.permit_back else 'no'} | {'yes' if verb.quota_back else 'no'} |"
        for name, verb in VERBS.items()
    ]
    assert "| verb | what happens | permit back | quota back |\n|---|---|---|---|\n" + "\n".join(rows) + "\n\n" in TEXT


def test_every_file_that_it_names_is_there() -> None:
    links = re.findall(r"\]\(\.\./([^)]+)\)", TEXT)
    assert len(links) > 40
    assert [link for link in links if not (REPOSITORY / link).exists()] == []


def test_the_way_enters_each_file_once() -> None:
    stations = re.findall(r"^\| (\d+) \| \[[^]]+\]\(\.\./([^)]+)\)", TEXT, re.MULTILINE)
    assert [int(number) for number, _ in stations] == list(range(1, len(stations) + 1))
    assert len(stations) == len({file for _, file in stations}) <= MOST_STATIONS


def test_every_room_has_a_line() -> None:
    rooms = {each.name for each in (REPOSITORY / "mailer").iterdir() if (each / "__init__.py").exists()}
    assert {room for room in rooms if f"[{room}](../mailer/{room})" not in TEXT} == set()
