"""The page of all commands, made from the command line itself."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from typer.main import get_command

from ops.docs.text import cell, table

_HEAD = """# Commands

<!-- written by `python -m ops.docs` -->

`mailer COMMAND --help` shows the same in the terminal. [JSON for programs](../json.md) has what `--json` prints, and
the exit codes.
"""


def page() -> str:
    root: Any = get_command(import_module("mailer.cli.main").app)
    return "\n".join([_HEAD, *_of(root, "mailer", None, 2)])


def _of(command: Any, name: str, parent: Any, level: int) -> Iterator[str]:
    """The section of a command, and those of its commands below it."""
    command = command.load() if hasattr(command, "load") else command
    context = command.context_class(command, info_name=name, parent=parent)
    if parent is not None:
        yield f"{'#' * level} `{context.command_path}`\n"
        usage = [piece for piece in command.collect_usage_pieces(context) if piece]
        yield f"```text\n{' '.join([context.command_path, *usage])}\n```\n"
    yield f"{(command.help or '').strip()}\n"
    options = [record for each in command.get_params(context) if (record := _record(each, context)) is not None]
    if options:
        yield f"{table(['option', ''], options)}\n"
    if context.ignore_unknown_options:
        yield f"`{context.command_path} --help` lists its options.\n"
    for each in command.list_commands(context) if hasattr(command, "list_commands") else ():
        yield from _of(command.get_command(context, each), each, context, level + (parent is not None))


def _record(parameter: Any, context: Any) -> list[str] | None:
    """A parameter's row. None for ``--help``, and for a parameter without a text."""
    found = None if "--help" in parameter.opts else parameter.get_help_record(context)
    return [f"`{found[0]}`", cell(found[1])] if found and found[1] else None
