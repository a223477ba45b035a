"""``mailer simulate``."""

from __future__ import annotations

from typing import Annotated

import typer

from mailer.cli.application import new_app
from mailer.simulator.__main__ import main as simulator

app = new_app()


@app.command(
    "simulate",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
)
def simulate(arguments: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Run the SES simulator alone.

    It explains its options itself.
    """
    simulator(arguments or [], prog="mailer simulate")
