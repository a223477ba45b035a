"""The list of edits, ``edits.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit: ``old``, which stands once in ``file``, becomes ``new``. One of ``tests`` must fail then.

    ``breaks`` is the broken promise. ``survives`` explains a mutant that no test can kill; empty for all others.
    """

    file: str
    breaks: str
    old: str
    new: str
    tests: tuple[str, ...]
    survives: str = ""

    @property
    def name(self) -> str:
        return f"{Path(self.file).name}: {self.old.strip().partition(chr(10))[0]}"

    def matches(self, words: Sequence[str]) -> bool:
        return not words or any(word in self.file or word in self.breaks for word in words)

    def applied_to(self, text: str) -> str:
        """Raises `ValueError` unless ``old`` stands in ``text`` exactly once."""
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file} has {text.count(self.old)} times: {self.old}")
        return text.replace(self.old, self.new)


def read() -> list[Edit]:
    """All edits. Each table of the file has edits of one source file and the tests that guard it."""
    edits = []
    for group in tomllib.loads((Path(__file__).parent / "edits.toml").read_text(encoding="utf-8"))["file"]:
        for each in group["edit"]:
            tests = tuple(each.pop("tests", group["tests"]))
            edits.append(Edit(file=group["path"], tests=tests, **each))
    return edits
