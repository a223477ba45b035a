"""The page and the JSON Schema of the documents that the commands print with ``--json``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import TypeAdapter

from mailer.cli.application import Printed
from mailer.cli.commands import COMMANDS, Deferred
from mailer.cli.main import EXIT_CODES

_HEAD = """# JSON for programs

<!-- written by `python -m ops.docs` -->

With `--json` a command prints one document in a line, or a line for each message. Times are ISO 8601 in UTC; later ones
than it can write are `9999-12-31T23:59:59+00:00`. A message is named by its `id`. Later versions only add fields.
Hints, progress and errors go to the standard error stream. [json.schema.json](json.schema.json) is all of it as JSON
Schema.

## Exit codes

| code | meaning |
|---|---|
"""
_NO_JSON = frozenset({"up", "worker", "flower", "valkey", "demo", "simulate"})
"""These run until they are stopped, or show what they do on a screen."""


def printed() -> Iterator[tuple[str, Printed]]:
    """Each command line with ``--json``, and its document."""
    for path, command in _commands():
        for document in getattr(command.callback, "documents", ()):
            yield " ".join(filter(None, ("mailer", path, document.variant, "--json"))), document


def without_json() -> list[str]:
    """The commands that end by themselves and have no ``--json``."""
    return [
        path
        for path, command in _commands()
        if path not in _NO_JSON
        and not (hasattr(command.callback, "documents") and any("--json" in each.opts for each in command.params))
    ]


def schema() -> dict[str, Any]:
    """The JSON Schema of all documents, by their names in ``$defs``."""
    kinds = {_name(document): document.kind for _, document in printed()}
    inputs = [(name, "serialization", TypeAdapter(kind)) for name, kind in kinds.items()]
    _, found = TypeAdapter.json_schemas(inputs)  # type: ignore[arg-type]
    text = re.sub(r"mailer__(\w+?)__\w*?__(\w+)", r"\1.\2", json.dumps(_bare(found)))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **json.loads(text)}


def page() -> str:
    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in EXIT_CODES.items())
    parts = [_HEAD, codes, "\n## Commands\n\n| command | prints |\n|---|---|\n"]
    for line, document in printed():
        name, count = _name(document), "an array of " if get_args(document.kind) else ""
        each = f", a line for each {document.each}" if document.each else ""
        parts.append(f"| `{line}` | {count}[{name}](#{name.lower().replace('.', '')}){each} |\n")
    for name, definition in schema()["$defs"].items():
        words = definition.pop("description", "")
        lines = ",\n".join(f'  "{key}": {json.dumps(each)}' for key, each in definition.pop("properties", {}).items())
        fields = f', "properties": {{\n{lines}\n}}}}' if lines else "}"
        parts.append(f"\n## {name}\n\n{words}\n\n```json\n{json.dumps(definition)[:-1]}{fields}\n```\n")
    return "".join(parts).replace("\n\n\n", "\n\n")


def _commands() -> Iterator[tuple[str, Any]]:
    for name in COMMANDS:
        command = Deferred(name).load()
        for sub, each in getattr(command, "commands", {"": command}).items():
            yield f"{name} {sub}".strip(), each


def _name(document: Printed) -> str:
    kind = (get_args(document.kind) or (document.kind,))[0]
    return str(kind.__name__)


def _bare(found: Any) -> Any:
    """The schema without titles, which only repeat names, and with descriptions in the words of JSON."""
    if isinstance(found, list):
        return [_bare(each) for each in found]
    if not isinstance(found, dict):
        return found
    kept = {
        name: {key: _bare(each) for key, each in value.items()} if name in ("properties", "$defs") else _bare(value)
        for name, value in found.items()
        if name not in ("title", "default")
    }
    if isinstance(words := kept.get("description"), str):
        kept["description"] = re.sub(r"``([^`]*)``", r"`\1`", words).replace("None", "null")
    return kept
