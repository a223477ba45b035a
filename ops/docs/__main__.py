"""``python -m ops.docs [--check]``: write the generated pages and all figures anew, or say which are stale."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from ops.docs import api, commands, documents, outcomes, settings, simulator
from ops.docs.figures import Figures

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
PAGES = {
    "settings.md": settings.page,
    "commands.md": commands.page,
    "api.md": api.page,
    "outcomes.md": outcomes.page,
    "simulator.md": simulator.page,
}


def current() -> Iterator[tuple[Path, str]]:
    """Each file with its text as the code and the figures have it today."""
    for name, page in PAGES.items():
        yield DOCS / "reference" / name, page()
    yield DOCS / "json.md", documents.page()
    yield DOCS / "json.schema.json", json.dumps(documents.schema(), indent=1) + "\n"
    figures = Figures.of(DOCS / "bench.json")
    yield DOCS / "bench.md", figures.page()
    for file in with_figures():
        yield file, figures.filled(file)


def with_figures() -> list[Path]:
    """The files that people write, with figures between markers."""
    generated = {*(DOCS / "reference" / name for name in PAGES), DOCS / "bench.md", DOCS / "json.md"}
    return [REPOSITORY / "README.md", *sorted(set(DOCS.rglob("*.md")) - generated)]


def main(arguments: list[str]) -> int:
    stale = [(file, text) for file, text in current() if not file.exists() or file.read_text(encoding="utf-8") != text]
    for file, text in stale:
        name = file.relative_to(REPOSITORY)
        if arguments == ["--check"]:
            print(f"{name} is stale: run `python -m ops.docs`, and commit what it writes")
        else:
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
            print(f"{name} is written anew")
    return 1 if stale and arguments == ["--check"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
