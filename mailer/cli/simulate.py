"""``mailer simulate``: an option for each field of the simulator's own options."""

from __future__ import annotations

import errno
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic import ValidationError
from typer import Option

from mailer.errors import InvalidRequest
from mailer.simulator.flags import default_of, flag_of
from mailer.simulator.options import GROUPS, Options
from mailer.simulator.server import run
from mailer.simulator.spec import extra_of, holds_several

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

_VALUES = {int: "N", float: "N", Path: "FILE"}


def simulate(**given: Any) -> None:
    """Run the SES simulator alone.

    It enforces what SES enforces, answers the SES APIs and SMTP, and shows its mail on a page. docs/simulator.md has
    more.
    """
    fields = Options.model_fields
    said = {name: value for name, value in given.items() if value not in (None, False)}
    values = {name: not fields[name].default if value is True else value for name, value in said.items()}
    try:
        options = Options.model_validate(values, strict=False)
    except ValidationError as error:
        raise InvalidRequest(Options.explained(error, "--")) from None
    problem: OSError | None = None
    try:
        run(options)
    except* OSError as group:
        problem = next(error for error in group.exceptions if isinstance(error, OSError))
    if problem is not None:
        remedy = ". Name another port with --port, or 0 for a free one" if problem.errno == errno.EADDRINUSE else ""
        raise InvalidRequest(f"The simulator cannot listen or read its files: {problem}{remedy}")


def _option(name: str, field: FieldInfo, panel: str) -> Parameter:
    text = str(extra_of(field).get("help", field.description)).replace("\n", " ")
    kinds = (field.annotation, *get_args(field.annotation))
    if choices := ", ".join(each for each in kinds if isinstance(each, str)):
        text += f": {choices}"
    metavar = extra_of(field).get("metavar") or next((_VALUES[each] for each in kinds if each in _VALUES), None)
    kind: Any = bool if bool in kinds else list[str] | None if holds_several(field) else str | None
    option = Option(
        flag_of(name, field),
        help=f"{text[0].upper()}{text[1:]}.",
        metavar=metavar,
        show_default=default_of(field) or False,
        rich_help_panel=panel,
    )
    default = False if kind is bool else None
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=Annotated[kind, option], default=default)


simulate.__signature__ = Signature(  # type: ignore[attr-defined]
    [_option(name, field, str(group.__doc__)) for group in GROUPS for name, field in group.model_fields.items()]
)
