"""The ``mailer`` command."""

from mailer.cli.main import main

__all__ = ["main"]
