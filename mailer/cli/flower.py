"""``mailer flower``."""

from __future__ import annotations

from typing import Annotated

import typer

from mailer.cli.application import new_app
from mailer.flower import run

app = new_app()


@app.command(
    "flower",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
)
def flower(arguments: Annotated[list[str] | None, typer.Argument(help="Flower's own options.")] = None) -> None:
    """Run Flower alone, kept from other web pages.

    It takes Flower's own options and variables. --allow_host=NAME (FLOWER_ALLOW_HOST) names a name by which it is
    reached, where it is reached by another than this host's own without a password.
    """
    run(arguments or [])
