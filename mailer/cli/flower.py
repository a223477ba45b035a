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
    """Run Flower alone, kept from other web pages and from other users of this host.

    It takes Flower's own options and variables, and listens on 127.0.0.1 without --address (FLOWER_ADDRESS). Without a
    password, --allow_host=NAME (FLOWER_ALLOW_HOST) names a name by which it is reached, besides this host's own, and
    --allow_user=NAME (FLOWER_ALLOW_USER) another user of this host who is answered.
    """
    run(arguments or [])
