"""The common look of every command: its help, its groups of options, its old spellings, and what it prints as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Any, TypeVar, cast

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from mailer.cli.spelling import old_spellings

_VALUES = {int: "N", float: "N", Path: "FILE"}
"""The word for a value in the help, by its type. Others are TEXT."""

Function = TypeVar("Function", bound=Callable[..., Any])


class _Plain:
    """The help shows no types of Python, and says in words what each value is."""

    def get_params(self, ctx: Any) -> list[Any]:
        found: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for each in found:
            if isinstance(each, TyperArgument):
                each.display_type_rich = lambda ctx: None  # type: ignore[method-assign] # noqa: ARG005
            elif isinstance(each, TyperOption) and each.is_flag:
                each.metavar = ""
            elif each.metavar is None:
                each.metavar = _VALUES.get(each.type_descriptor.annotation, "TEXT")
            # The error for a value out of its range tells the range.
            each.min = each.max = None
            if isinstance(each.show_default, str):
                each.help, each.show_default = f"{each.help} [default: {each.show_default}]", False
        return found

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        pieces: list[str] = super().collect_usage_pieces(ctx)  # type: ignore[misc]
        return [piece.replace("{", "").replace("}", "") for piece in pieces]


class Command(_Plain, TyperCommand):
    def __init__(self, name: str | None, **given: Any) -> None:
        super().__init__(name, **given)
        self.params += old_spellings(self.name or "", self.params)


class Group(_Plain, TyperGroup):
    pass


class App(typer.Typer):
    """Its commands may have parameters that are dataclasses: each field is an option of its own (`expanded`)."""

    def command(self, name: str | None = None, **options: Any) -> Callable[[Function], Function]:
        add = super().command(name, cls=Command, **options)

        def added(function: Function) -> Function:
            add(expanded(function))
            return function

        return added


def new_app(**options: Any) -> App:
    """An application for one command, or for all of them."""
    return App(
        **{"cls": Group, "add_completion": False, **options},
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
        # Local variables may contain addresses, bodies and passwords.
        pretty_exceptions_show_locals=False,
    )


def expanded(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command for Typer. The fields of each parameter that is a dataclass take its place."""
    groups: dict[str, Callable[..., Any]] = {}
    parameters: list[Parameter] = []
    for name, parameter in signature(command, eval_str=True).parameters.items():
        if is_dataclass(parameter.annotation):
            groups[name] = cast("Callable[..., Any]", parameter.annotation)
            parameters += _fields(groups[name])
        else:
            parameters.append(parameter)
    if not groups:
        return command

    @wraps(command)
    def called(**given: Any) -> Any:
        for name, group in groups.items():
            given[name] = group(**{each.name: given.pop(each.name) for each in _fields(group)})
        return command(**given)

    called.__signature__ = Signature([each.replace(kind=Parameter.KEYWORD_ONLY) for each in parameters])  # type: ignore[attr-defined]
    return called


def _fields(group: Callable[..., Any]) -> Iterable[Parameter]:
    return signature(group, eval_str=True).parameters.values()


@dataclass(frozen=True)
class Printed:
    """The output of a command with ``--json``: a line with a document of the type ``kind``, or one for ``each`` thing.

    ``variant`` are the arguments with which it does, if it prints something else without them.
    """

    kind: Any
    each: str = ""
    variant: str = ""


def prints(kind: Any, *, each: str = "", variant: str = "") -> Callable[[Function], Function]:
    """Note what the command prints with ``--json``. docs/json.md is made from it."""

    def noted(command: Function) -> Function:
        documents: list[Printed] = getattr(command, "documents", [])
        command.documents = [Printed(kind, each, variant), *documents]  # type: ignore[attr-defined]
        return command

    return noted
