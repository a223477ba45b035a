"""Options that select messages on a shelf by their properties, for all commands that have them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any

import typer

from mailer.cli import moments
from mailer.queue.shelf import Filter, ShelfName


@dataclass(frozen=True, kw_only=True)
class Filters:
    """The typed options, one in each field."""

    lane: Annotated[str | None, typer.Option(help="Only of this lane.", show_default=False)] = None
    code: Annotated[
        str | None, typer.Option(help="Only with this code, as MessageRejected. (dead, held)", show_default=False)
    ] = None
    text: Annotated[str | None, typer.Option(help="Only with this in the reason. (dead, held)", show_default=False)] = (
        None
    )
    to: Annotated[str | None, typer.Option(help="Only to this address, or to @example.com.", show_default=False)] = None
    before: Annotated[
        str | None,
        typer.Option(
            help="Only set aside before: 2h (ago), 2030-01-31T09:00+01:00. Scheduled: due before, 2h (from now).",
            show_default=False,
        ),
    ] = None
    after: Annotated[
        str | None, typer.Option(help="Only set aside (scheduled: due) after, in the same form.", show_default=False)
    ] = None

    def of(self, name: ShelfName) -> Filter:
        """The filter for one place. Raises InvalidRequest for an invalid time."""
        read = moments.hence if name == "scheduled" else moments.ago
        return Filter(
            lane=self.lane,
            code=self.code,
            text=self.text,
            to=self.to,
            before=None if self.before is None else read("--before", self.before),
            after=None if self.after is None else read("--after", self.after),
        )


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """The command for typer. The options of `Filters` replace its parameter ``filters``."""
    options = signature(Filters, eval_str=True).parameters
    parameters: list[Parameter] = []
    for name, parameter in signature(command, eval_str=True).parameters.items():
        parameters += options.values() if name == "filters" else [parameter]

    @wraps(command)
    def called(**given: Any) -> None:
        typed = Filters(**{name: given.pop(name) for name in options})
        command(**given, filters=typed)

    called.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return called
