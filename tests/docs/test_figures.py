"""What the docs take from elsewhere is what stands there: figures, settings, commands, the API."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ops.docs.__main__ import DOCS, REPOSITORY, current, with_figures
from ops.docs.figures import Figures, number, unquoted

FIGURES = Figures.of(DOCS / "bench.json")


def test_every_generated_page_and_every_figure_is_as_the_code_and_the_bench_have_it() -> None:
    stale = [str(file.relative_to(REPOSITORY)) for file, text in current() if file.read_text(encoding="utf-8") != text]
    assert stale == [], "run `python -m ops.docs`, and commit what it writes"


@pytest.mark.parametrize("page", [REPOSITORY / "README.md", DOCS / "performance.md", DOCS / "guarantees.md"])
def test_no_ratio_stands_in_a_page_without_its_source(page: Path) -> None:
    text = re.sub(r"<!--=.*?<!--/-->", "", page.read_text(encoding="utf-8"))
    assert re.findall(r"\d[\d.,]*(?: ?×(?! [\d.])| times (?:the|as|its))", text) == []


def test_a_quote_says_where_it_is_from_and_gets_the_figure_from_there(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!--=rate/min/% of R used:2-->0<!--/--> % of R, <!--=rate!throttling errors-->?<!--/--> refused.")
    refused = [{"what": "throttling errors", "measured": 0}]

    found = Figures({"rate": {"columns": ["R", "% of R used"], "rows": [[1, 99.4], [14, 98.76]], "verdicts": refused}})

    assert unquoted(found.filled(page)) == "99 % of R, 0 refused."


def test_a_quote_of_a_figure_that_is_not_there_is_an_error_with_its_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!--=compare/nobody/mailer is-->1<!--/-->")

    with pytest.raises(ValueError, match=r"page\.md: docs/bench\.json has no 'compare/nobody/mailer is'"):
        FIGURES.filled(page)


@pytest.mark.parametrize(("value", "digits", "text"), [(9.83, 2, "9.8"), (46235.2, 2, "46,000"), (0, 3, "0")])
def test_a_number_is_written_for_people(value: float, digits: int, text: str) -> None:
    assert number(value, digits) == text


def test_most_pages_quote_figures() -> None:
    assert len([page for page in with_figures() if "<!--=" in page.read_text(encoding="utf-8")]) >= 4
