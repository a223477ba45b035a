"""``mailer simulate``."""

from __future__ import annotations

from typing import Annotated

from typer import Argument

from mailer.simulator.__main__ import main as simulator


def simulate(arguments: Annotated[list[str] | None, Argument()] = None) -> None:
    """Run the SES simulator alone.

    It explains its options itself.
    """
    simulator(arguments or [], prog="mailer simulate")
