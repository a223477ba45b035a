"""docs/templates.md: each example makes what it says, and it names all that is there."""

from __future__ import annotations

import json
import re

import pytest

from mailer.mail.template import compiled
from mailer.mail.template.bounds import (
    MAX_BRACKETS,
    MAX_CHARS,
    MAX_DEPTH,
    MAX_INT_BITS,
    MAX_SOURCE_CHARS,
    MAX_STEPS,
    MAX_TOKENS,
)
from mailer.mail.template.filters import FILTERS
from mailer.mail.template.tests import TESTS
from tests.support import REPOSITORY

PAGE = (REPOSITORY / "docs" / "templates.md").read_text(encoding="utf-8")
VARIABLES = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])
ROWS = [
    [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in PAGE.splitlines()
    if line.startswith("|") and "`` " in line
]


@pytest.mark.parametrize(("example", "made"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_each_example_makes_what_the_page_says(example: str, made: str) -> None:
    assert compiled(example.strip("` "), "text").render(VARIABLES).strip() == made.strip("` ")


def test_the_page_names_every_filter_and_test_and_no_other() -> None:
    named = {heading: _named(heading) for heading in ("Filters", "Tests")}
    assert named == {"Filters": set(FILTERS), "Tests": set(TESTS)}


def test_the_page_has_the_limits() -> None:
    for limit in (MAX_STEPS, MAX_CHARS, MAX_SOURCE_CHARS, MAX_TOKENS, MAX_INT_BITS, MAX_DEPTH, MAX_BRACKETS):
        assert f"{limit:,}" in PAGE


def _named(heading: str) -> set[str]:
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    first_cells = [re.split(r"(?<!\\)\|", line)[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for cell in first_cells for name in re.findall("`([^`]+)`", cell)}
