"""The site is built from here alone, and a page of it asks nobody else for anything."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

from tests.support import REPOSITORY

_FETCHED = re.compile(r"<(?:script|img|iframe)[^>]+src=[^>]+>|<link[^>]+rel=\"?(?:stylesheet|icon|preconnect)[^>]*>")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as environment:
        # The theme sets it too, and would leave it to the tests that follow.
        environment.setenv("NO_MKDOCS_2_WARNING", "1")
        build(load_config(str(REPOSITORY / "mkdocs.yml"), site_dir=str(folder)))
    return folder


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    fetched = {match.group(0) for page in pages for match in _FETCHED.finditer(page.read_text(encoding="utf-8"))}
    assert fetched
    assert [each for each in fetched if "//" in each] == []


def test_no_page_shows_a_marker_or_leads_out_of_the_site(site: Path) -> None:
    for page in set(site.rglob("*.html")) - {site / "404.html"}:
        text = page.read_text(encoding="utf-8")
        assert "<!--=" not in text
        for target in re.findall(r"<a href=\"?(?!https?:|mailto:|#|\")([^\s\"#>]+)", text):
            file = (page.parent / target).resolve()
            assert (file / "index.html" if target.endswith(("/", ".")) else file).exists(), (page, target)


def test_every_page_is_in_the_list_of_pages() -> None:
    listed = set(re.findall(r": ([\w/-]+\.md)$", (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE))
    docs = REPOSITORY / "docs"
    assert {page.relative_to(docs).as_posix() for page in docs.rglob("*.md")} <= listed
