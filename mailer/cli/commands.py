"""The list of commands. Each is imported only when it is called: ``mailer --help`` does not wait for redis-py."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand

from mailer.cli.application import Group, new_app
from mailer.errors import SettingsError


class Entry(NamedTuple):
    """``function`` is ``module:function`` in this folder. ``extra`` are the package's extras that the command needs."""

    panel: str
    help: str
    function: str
    extra: str = ""
    is_group: bool = False
    """The function makes a group of commands of its name and help."""
    passes_on: bool = False
    """It hands all of its arguments to a parser of its own."""


_SHELF = "shelf:shelf_app"
PLUMBING = ""
"""The panel of commands that a person seldom calls. The list does not show them."""

COMMANDS = {
    "send": Entry("Send", "Send one message to each of a few recipients.", "send:send"),
    "import": Entry("Send", "Send a message to each recipient in a CSV file of any length.", "csv_import:import_"),
    "status": Entry("Look", "Show what the account may send, and what waits.", "status:status"),
    "show": Entry("Look", "Show what became of one message, and where it is.", "show:show"),
    "find": Entry("Look", "Find the messages to an address, in the queue and in the records.", "find:find"),
    "doctor": Entry("Look", "Check the set-up, and say what to mend.", "doctor:doctor"),
    "dead": Entry("Operate", "List, requeue, drop and export mail that was rejected or failed.", _SHELF, is_group=True),
    "held": Entry("Operate", "List and settle mail that SES may have sent or not.", _SHELF, is_group=True),
    "scheduled": Entry("Operate", "List, requeue and drop mail that waits for its time.", _SHELF, is_group=True),
    "pause": Entry("Operate", "Stop sending: the whole account, or one lane.", "pause:pause"),
    "resume": Entry("Operate", "Send again what was paused, and try again what SES has stopped.", "pause:resume"),
    "rate": Entry("Operate", "Show the account's rate, or set it for all hosts at run time.", "rate:rate"),
    "up": Entry("Run", "Run Redis, simulator, workers and Flower on this host.", "up:up", "local,simulator,flower"),
    "worker": Entry("Run", "Run the worker processes of this host.", "worker:worker"),
    "flower": Entry("Run", "Run Flower, closed to other pages and users.", "flower:flower", "flower", passes_on=True),
    "valkey": Entry(PLUMBING, "Run the embedded Valkey alone.", "valkey:valkey"),
    "demo": Entry(
        "Try", "Watch some thousand messages flow through it all.", "demo:demo", "local,simulator,flower,plot"
    ),
    "simulate": Entry("Try", "Run the SES simulator alone.", "simulate:simulate", "simulator"),
    "bench": Entry("Try", "Measure how fast this host can send, and what limits it.", "bench:bench", "local,simulator"),
}


class Deferred(TyperCommand):
    """A command of the list that is not imported yet."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        if extra.get("resilient_parsing"):
            try:
                return self.load().make_context(info_name, args, parent=parent, **extra)
            except SettingsError:  # a shell completes the name, which says nothing of what is not installed
                return super().make_context(info_name, args, parent=parent, **extra)
        return self.load().make_context(info_name, args, parent=parent, **extra)

    def load(self) -> Any:
        name = str(self.name)
        entry = COMMANDS[name]
        module, _, function = entry.function.partition(":")
        try:
            found = getattr(import_module(f"mailer.cli.{module}"), function)
        except ModuleNotFoundError as error:
            if not entry.extra:
                raise
            raise SettingsError(
                f"mailer {name} needs what is not installed here ({error.name}): install mailer[{entry.extra}]"
            ) from error
        if entry.is_group:
            return typer.main.get_command(found(name, entry.help))
        app = new_app()
        app.command(name, **(_PASSES_ON if entry.passes_on else {}))(found)
        return typer.main.get_command(app)


_PASSES_ON: dict[str, Any] = {
    "add_help_option": False,
    "context_settings": {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
}


class Commands(Group):
    """The group of all commands."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        for name, entry in COMMANDS.items():
            hidden = entry.panel == PLUMBING
            self.add_command(Deferred(name, help=entry.help, hidden=hidden, rich_help_panel=entry.panel))
