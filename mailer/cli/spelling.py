"""The old spellings of options. They go on working, with a hint on the standard error stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from typer.core import TyperOption

from mailer.cli.printed import echo


class Old(NamedTuple):
    """``spelling`` stands for ``now`` in each of ``commands``. ``now`` is an option, or an argument in capitals."""

    spelling: str
    now: str
    commands: tuple[str, ...]


OLD_SPELLINGS = (
    Old("--sender", "--from", ("send", "import", "bench")),
    Old("--to", "ADDRESS", ("find",)),
    Old("--text", "--reason", ("list", "requeue", "drop", "sent", "export")),
    Old("--loglevel", "--log-level", ("worker",)),
    Old("--rate", "--want", ("bench",)),
)
"""`mailer import --text FILE` and `--html FILE` are another one: mailer/cli/mail.py takes the name of a file."""


def old_spellings(command: str, params: Sequence[Any]) -> Iterator[TyperOption]:
    """Hidden options of a command with these parameters."""
    for old in OLD_SPELLINGS:
        if command in old.commands:
            yield _hidden(old, next(each for each in params if old.now in (*each.opts, each.metavar)))


def hint(spelling: str, now: str) -> None:
    echo(f"mailer: write {now} instead of {spelling}", err=True)


def _hidden(old: Old, param: Any) -> TyperOption:
    def forward(ctx: Any, _param: Any, value: Any) -> None:
        if value is not None:
            hint(old.spelling, old.now)
            # The parameter itself is read afterwards, and takes its value from here.
            ctx.default_map = {**(ctx.default_map or {}), param.name: value}

    return TyperOption(
        param_decls=[f"old_{param.name}", old.spelling],
        type_descriptor=param.type_descriptor,
        hidden=True,
        is_eager=True,
        expose_value=False,
        callback=forward,
    )
