"""What the linter of Lua finds in a script and its part."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.lint_lua import problems

PART = "-- Needs now.\nlocal offers = {}\nfunction offers.ring(bell) return bell .. now end\nreturn offers\n"
SCRIPT = "local now = 1\nlocal bell = part 'bell'\nreturn bell.ring('x')\n"


def found(folder: Path, script: str = SCRIPT, part: str = PART) -> str:
    (folder / "parts").mkdir()
    (folder / "parts" / "bell.lua").write_text(part)
    (folder / "script.lua").write_text(script)
    return "\n".join(problems([folder / "script.lua"]))


def test_nothing_is_found_where_all_is_fine(tmp_path: Path) -> None:
    assert found(tmp_path) == ""


@pytest.mark.parametrize(
    ("script", "part", "words"),
    [
        (SCRIPT.replace("local now = 1\n", ""), PART, "bell needs now, which is not defined above it"),
        (SCRIPT, PART.replace("-- Needs now.\n", ""), "now is not defined"),
        (SCRIPT, PART.replace("Needs now", "Needs now, lane"), "lane is needed and not used"),
        (SCRIPT.replace("bell.ring", "bell.rung"), PART, "rung is not offered by bell"),
        (SCRIPT.replace("bell.ring", "bell().rung"), PART, "rung is not offered by bell"),
        (SCRIPT.replace("bell.ring('x')", "bell"), PART, "ring is offered and never used"),
        ("local more = 1\n" + SCRIPT, PART, "more is defined and never used"),
        (SCRIPT.replace("'x'", "x"), PART, "x is not defined"),
        (SCRIPT.replace("return", "more ="), PART, "more is written, but no local"),
        (SCRIPT, PART.replace("return offers\n", "offers = nil\n"), "it returns once, at its end"),
        (SCRIPT.replace("return", "retrun"), PART, "script.lua"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, script: str, part: str, words: str) -> None:
    assert words in found(tmp_path, script, part)
