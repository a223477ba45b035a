"""Options that several commands share. Each is written here once."""

from __future__ import annotations

from typing import Annotated, Any

from typer import Argument, Option

Json = Annotated[bool, Option("--json", help="Print JSON. docs/json.md has its schema.")]
Yes = Annotated[bool, Option("--yes", "-y", help="Do not ask.")]
Id = Annotated[str, Argument(metavar="ID", help="The message's id.")]

LANE: dict[str, Any] = {"metavar": "LANE"}
WHEN: dict[str, Any] = {"metavar": "WHEN"}
PORT: dict[str, Any] = {"min": 0, "max": 65535, "metavar": "PORT"}

OneLane = Annotated[str | None, Option(help="Only this lane.", **LANE)]
Until = Annotated[
    str | None,
    Option(
        help="The end: 30m, 2h, 18:30 or 2030-01-31T09:00+01:00.", metavar="WHEN", show_default="when it is resumed"
    ),
]

Processes = Annotated[int | None, Option(min=1, help="Worker processes.", show_default="one for each processor core")]
Threads = Annotated[int, Option(min=1, help="Sends at the same time in each process.")]
