"""What is shown as text, whoever wrote it: senders, SES, other hosts. Nothing in it is obeyed by a terminal."""

from __future__ import annotations

import json
from typing import Any

import typer


def plain(text: str) -> str:
    """``text`` with a mark in place of each character that is not printed; lines stay lines."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else "\N{REPLACEMENT CHARACTER}" for each in text)


def echo(text: object, *, err: bool = False) -> None:
    typer.echo(plain(str(text)), err=err)


def json_line(value: Any) -> str:
    """JSON as people read it: only what is not printed is escaped."""
    text = json.dumps(value, ensure_ascii=False)
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)
