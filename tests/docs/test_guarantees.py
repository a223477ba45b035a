"""docs/guarantees.md: each promise has its limit, tests that are there, and a figure."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from ops.docs.figures import unquoted
from tests.docs.pages import PAGES, defined
from tests.support import REPOSITORY

PAGE = REPOSITORY / "docs" / "guarantees.md"
TEXT = PAGE.read_text(encoding="utf-8")
SECTIONS = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
PARTS = ("**Promise.** ", "**How.** ", "**Limit.** ", "**Tests.**", "**Figure.** ")
LINKS = re.findall(r"\[(test_\w+)\]\(([\w/.]+)\)", TEXT)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.partition("\n")[0])
def test_a_promise_has_every_part_in_order(section: str) -> None:
    places = [section.index(part) for part in PARTS]
    assert places == sorted(places)
    assert re.search(r"\[test_\w+\]", section[places[3] : places[4]])


@pytest.mark.parametrize(("name", "path"), LINKS)
def test_the_test_of_a_promise_is_there(name: str, path: str) -> None:
    assert name in defined((PAGE.parent / path).resolve())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_link_to_a_file_or_a_section_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)", unquoted(page.read_text(encoding="utf-8"))):
        path, _, section = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if section:
            assert section in anchors(file), target


@cache
def anchors(page: Path) -> frozenset[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings)
