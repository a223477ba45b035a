"""The common look of every command's help."""

from __future__ import annotations

from typing import Any

import typer


def new_app(**options: Any) -> typer.Typer:
    """A Typer application for one command, or for all of them."""
    return typer.Typer(
        add_completion=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
        # Local variables may contain addresses, bodies and passwords.
        pretty_exceptions_show_locals=False,
        **options,
    )
