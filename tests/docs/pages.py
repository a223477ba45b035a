"""The pages that people write and read: the README, the docs, and what lies beside them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.support import REPOSITORY

PAGES = sorted(
    [
        *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
        *(REPOSITORY / "docs").rglob("*.md"),
        *(REPOSITORY / "ops").rglob("README.md"),
        *(REPOSITORY / "examples").rglob("README.md"),
    ]
)
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^    .*\n(?:\n(?=    ))*)+", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of code on a page. An indented one counts as one of the shell's."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(REPOSITORY)}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    return [block for page in PAGES for block in _of(page) if block.language in languages]


@cache
def defined(path: Path) -> frozenset[str]:
    """The functions in a file of tests."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def _of(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in _FENCED.finditer(text):
        yield Block(page, text.count("\n", 0, match.start()) + 1, match.group(1), match.group(2))
    # Blank, so that the lines keep their numbers.
    rest = _FENCED.sub(lambda match: "\n" * match.group(0).count("\n"), text)
    for match in _INDENTED.finditer(rest):
        code = "".join(line.removeprefix("    ") for line in match.group(0).splitlines(keepends=True))
        yield Block(page, rest.count("\n", 0, match.start()) + 1, "sh", code)
