"""The command line of the options: a flag for each field."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, NoReturn, get_args

from pydantic import ValidationError

from mailer.simulator.options import GROUPS, Options
from mailer.simulator.spec import extra_of, holds_several, number

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


class _Parser(argparse.ArgumentParser):
    """Reports an error in one line: the usage of forty options would hide it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message.rstrip('.')}. {self.prog} --help shows all options\n")


def parser(prog: str) -> argparse.ArgumentParser:
    made = _Parser(prog=prog, description="Amazon SES, simulated.")
    for group in GROUPS:
        add = made.add_argument_group(group.__doc__).add_argument
        for name, field in group.model_fields.items():
            add(flag_of(name, field), dest=name, default=argparse.SUPPRESS, help=_help(field), **_values(field))
    return made


def options(arguments: list[str] | None, parser: argparse.ArgumentParser) -> Options:
    """Read the command line. Ends the process with one line if that cannot be."""
    given = vars(parser.parse_args(arguments))
    try:
        return Options.model_validate(given, strict=False)
    except ValidationError as error:
        parser.error(Options.explained(error, "--"))


def flag_of(name: str, field: FieldInfo) -> str:
    return "--" + str(extra_of(field).get("flag", name)).replace("_", "-")


def default_of(field: FieldInfo) -> str:
    """The default where it is worth a word. Empty otherwise."""
    default = field.default
    if isinstance(default, bool):
        return ""
    if isinstance(default, int | float):
        return number(default)
    return default if isinstance(default, str) else ""


def _help(field: FieldInfo) -> str:
    text = str(extra_of(field).get("help", field.description)).replace("\n", " ")
    return (f"{text} [{default_of(field)}]" if default_of(field) else text).replace("%", "%%")


def _values(field: FieldInfo) -> dict[str, Any]:
    if field.annotation is bool:
        return {"action": "store_const", "const": not field.default}
    metavar = {"metavar": extra_of(field)["metavar"]} if "metavar" in extra_of(field) else {}
    if holds_several(field):
        return {"action": "append", **metavar}
    choices = [each for each in get_args(field.annotation) if isinstance(each, str)]
    return {"metavar": "|".join(choices)} if choices else metavar
