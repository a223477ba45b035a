"""Checks docstrings, comments and pages for sentences that a reader whose first language is not English reads twice.

`_REFUSED` lists them. ``python -m ops.lint_prose PATH...`` takes files and folders of Python, Lua and Markdown. It
prints each place, and exits with 1 if there is one.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

_REFUSED = (
    (re.compile(r"(?:^|[.:;?!)]\s+|\n\s*\n\s*)(What)\b(?! [^.?]*\?)"), 'a sentence opens with "What"'),
    (re.compile(r"\b((?:is|are|was|were) none)\b(?! of)"), "say what it is not"),
    (re.compile(r"\b(for who)\b"), 'write "for whoever" or name them'),
)
_NO_PROSE = re.compile(r"^```.*?^```$|^[#|][^\n]*$|`+[^`]+`+", re.MULTILINE | re.DOTALL)
"""Code, headings and tables of Markdown."""
_LUA_COMMENT = re.compile(r"^[ \t]*--[ \t]?(.*)$", re.MULTILINE)


def found_in(text: str) -> Iterator[tuple[int, str, str]]:
    """Offsets of what is refused in the text of a comment or docstring, the words, and why."""
    for pattern, why in _REFUSED:
        for match in pattern.finditer(text):
            yield match.start(1), match.group(1), why


def prose_of_python(source: str) -> Iterator[tuple[int, str]]:
    """Line numbers and texts: docstrings, those of attributes too, and blocks of comments."""
    for node in ast.walk(ast.parse(source)):
        for child in ast.iter_child_nodes(node):
            if (
                isinstance(child, ast.Expr)
                and isinstance(child.value, ast.Constant)
                and isinstance(child.value.value, str)
            ):
                yield child.lineno, child.value.value
    yield from _blocks(
        (token.start[0], token.string.lstrip("#").strip())
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    )


def prose_of_lua(source: str) -> Iterator[tuple[int, str]]:
    """The same of Lua's comments."""
    yield from _blocks(
        (source.count("\n", 0, match.start()) + 1, match.group(1)) for match in _LUA_COMMENT.finditer(source)
    )


def prose_of_markdown(source: str) -> Iterator[tuple[int, str]]:
    """The text of a page in one piece."""
    yield 1, _NO_PROSE.sub(lambda match: "\n" * match.group(0).count("\n"), source)


def _blocks(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Comments on lines that follow each other are one text."""
    begin, last, texts = 0, -1, list[str]()
    for number, text in lines:
        if texts and number == last + 1:
            texts.append(text)
        else:
            if texts:
                yield begin, "\n".join(texts)
            begin, texts = number, [text]
        last = number
    if texts:
        yield begin, "\n".join(texts)


_PROSE_OF = {".py": prose_of_python, ".lua": prose_of_lua, ".md": prose_of_markdown}


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(each for each in path.rglob("*") if each.suffix in _PROSE_OF)
        else:
            yield path


def main(paths: list[str]) -> int:
    wrong = files = 0
    for path in _files(map(Path, paths)):
        files += 1
        source = path.read_text(encoding="utf-8")
        for line, text in _PROSE_OF[path.suffix](source):
            for offset, words, why in found_in(text):
                wrong += 1
                print(f"{path}:{line + text.count(chr(10), 0, offset)}: {words!r}: {why}")
    print(f"{files} files, {wrong} sentences to write anew" if wrong else f"{files} files in plain sentences")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
