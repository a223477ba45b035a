"""``mailer flower``."""

from __future__ import annotations

from typing import Annotated

from typer import Argument

from mailer.flower import run


def flower(arguments: Annotated[list[str] | None, Argument(help="Flower's own options.")] = None) -> None:
    """Run Flower, closed to other pages and users.

    It takes Flower's own options and variables, and listens on 127.0.0.1 without --address (FLOWER_ADDRESS). Without a
    password, --allow_host=NAME (FLOWER_ALLOW_HOST) names a name by which it is reached, besides this host's own, and
    --allow_user=NAME (FLOWER_ALLOW_USER) another user of this host who is answered.
    """
    run(arguments or [])
