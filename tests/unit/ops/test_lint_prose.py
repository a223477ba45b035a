"""The check of comments and docstrings finds what it is for, and nothing else."""

from __future__ import annotations

import pytest

from ops.lint_prose import found_in, prose_of_lua, prose_of_markdown, prose_of_python


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("What waits is counted.", ["What"]),
        ("It waits. What is late goes first.", ["What"]),
        ("It waits.\n\nWhat is late goes first.", ["What"]),
        ("It waits: what is late goes first.", []),
        ("What is late?", []),
        ("It says what is late.", []),
        ("Text that is none.", ["is none"]),
        ("There is none of it.", []),
        ("A block for who sends.", ["for who"]),
        ("It is for whoever sends.", []),
    ],
)
def test_sentences_that_are_read_twice_are_found(text: str, words: list[str]) -> None:
    assert [found for _, found, _ in found_in(text)] == words


def test_docstrings_of_attributes_and_blocks_of_comments_are_prose() -> None:
    source = '"""A."""\nx = 1\n"""B."""\n# C\n# d.\n\n# E.\ny = "not prose"\n'
    assert sorted(prose_of_python(source)) == [(1, "A."), (3, "B."), (4, "C\nd."), (7, "E.")]


def test_the_text_of_a_page_is_prose_and_its_code_tables_and_headings_are_not() -> None:
    page = "# What it is\n\nA `What` b.\n\n```sh\nWhat\n```\n\n| What |\n"
    assert [(line, text.split()) for line, text in prose_of_markdown(page)] == [(1, ["A", "b."])]


def test_comments_of_lua_are_prose() -> None:
    assert list(prose_of_lua("-- A\n-- b.\nlocal x = 1 -- c\n  -- D.\n")) == [(1, "A\nb."), (4, "D.")]
