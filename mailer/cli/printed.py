"""Printing text from others: senders, SES, other hosts. The terminal does not obey control characters in it."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from typing import Any

import typer


def plain(text: str) -> str:
    """``text`` with a replacement character for each unprintable character. Line breaks stay."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else "\N{REPLACEMENT CHARACTER}" for each in text)


def echo(text: object, *, err: bool = False) -> None:
    """Print a text for a person. A terminal gets whole words in each line; a file or a pipe the lines as they are."""
    said = plain(str(text))
    if (sys.stderr if err else sys.stdout).isatty():
        width = shutil.get_terminal_size().columns
        wrapped = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
        said = "\n".join(map(wrapped.fill, said.split("\n")))
    typer.echo(said, err=err)


def json_line(value: Any) -> str:
    """JSON for people: only unprintable characters are escaped."""
    text = json.dumps(value, ensure_ascii=False)
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def tell(document: Any, *, as_json: bool) -> None:
    """Print a document for a program, or its text for a person."""
    if as_json:
        show_json(document)
    else:
        echo(document)


def show_json(document: Any, kind: Any = None, *, err: bool = False) -> None:
    """Print a document in one line. ``kind`` is its type, if that is not a class."""
    # The entry point prints errors with this module, and does not wait for pydantic.
    from mailer.document import to_json  # noqa: PLC0415

    typer.echo(json_line(to_json(document, kind)), err=err)
