"""docs/json.md and docs/json.schema.json say what the code prints."""

from __future__ import annotations

import json

from ops.json_reference import DOCS, page, schema

REMEDY = "run python -m ops.json_reference"


def test_the_page_is_that_of_the_code() -> None:
    assert (DOCS / "json.md").read_text(encoding="utf-8") == page(), REMEDY


def test_the_schema_is_that_of_the_code() -> None:
    assert json.loads((DOCS / "json.schema.json").read_text(encoding="utf-8")) == schema(), REMEDY
