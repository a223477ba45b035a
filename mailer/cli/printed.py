"""Printing text from others: senders, SES, other hosts. The terminal does not obey control characters in it."""

from __future__ import annotations

import json
from typing import Any

import typer


def plain(text: str) -> str:
    """``text`` with a replacement character for each unprintable character. Line breaks stay."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else "\N{REPLACEMENT CHARACTER}" for each in text)


def echo(text: object, *, err: bool = False) -> None:
    typer.echo(plain(str(text)), err=err)


def json_line(value: Any) -> str:
    """JSON for people: only unprintable characters are escaped."""
    text = json.dumps(value, ensure_ascii=False)
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)
