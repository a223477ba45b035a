"""The entry point: the list of commands, and the form of errors."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from mailer.cli.application import new_app
from mailer.cli.printed import echo
from mailer.errors import InvalidMessage, InvalidRequest, MailerError, SettingsError

COMMANDS = {
    "up": "Run everything on this host: Redis, simulator, workers and Flower, as far as they are needed.",
    "worker": "Run the worker processes of this host.",
    "send": "Send one message to each of a few recipients.",
    "import": "Send a message to each recipient in a CSV file of any length.",
    "status": "Show what the account may send, and what waits.",
    "show": "Show what became of one message: each attempt, SES's answers, and where it is now.",
    "find": "Find the messages to an address: those in the queue, and those that there is a record of.",
    "dead": "Look into the dead letters, requeue, drop and export them.",
    "held": "Look into and settle mail that SES may have accepted or not.",
    "scheduled": "Look into mail that waits for its time, requeue and drop it.",
    "doctor": "Check the set-up, and say what to mend.",
    "pause": "Stop sending: the whole account, or one lane.",
    "resume": "Send again what was paused, and try again what SES has stopped.",
    "rate": "Show the account's rate, or set it for all hosts at run time.",
    "simulate": "Run the SES simulator alone.",
    "flower": "Run Flower alone, kept from other web pages and from other users of this host.",
    "valkey": "Run the embedded Valkey alone.",
    "bench": "Find out how fast this host can send, what limits it, and how many processes and threads a rate takes.",
    "demo": "Watch a few thousand messages flow through all of it in half a minute.",
}
"""Each command has a module of its name here, imported at its call: ``mailer --help`` does not wait for redis-py."""

_MODULES = {"import": "csv_import"}
_EXTRAS = {
    "up": "local,simulator,flower",
    "simulate": "simulator",
    "flower": "flower",
    "bench": "local,simulator",
    "demo": "local,simulator,flower,plot",
}
_OF_A_PRODUCER = (
    "A producer's user may only enqueue, in its lanes: use the operator's user for the rest (README, Settings)"
)
_OURS_TO_FIX = 1
_YOURS_TO_FIX = 2


class Deferred(TyperCommand):
    """A command whose module is imported only when it is called."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        return self.load().make_context(info_name, args, parent=parent, **extra)

    def load(self) -> Any:
        name = str(self.name)
        try:
            module = import_module(f"mailer.cli.{_MODULES.get(name, name)}")
        except ModuleNotFoundError as error:
            if name not in _EXTRAS:
                raise
            raise SettingsError(
                f"mailer {name} needs what is not installed here ({error.name}): install mailer[{_EXTRAS[name]}]"
            ) from error
        return typer.main.get_command(module.app)


class Group(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - Typer's signature
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        return Deferred(cmd_name, callback=None, help=COMMANDS[cmd_name]) if cmd_name in COMMANDS else None


app = new_app(cls=Group, no_args_is_help=True)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mailer {version('mailer')}")
        raise typer.Exit


@app.callback()
def _mailer(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Send mail through Amazon SES from many machines, at exactly the rate the account allows.

    Settings come from the environment: MAILER_REDIS_URL says where Redis is (unset: the one that `mailer up`
    embeds), AWS_REGION, AWS_PROFILE and the other AWS variables how to reach SES.
    """


def main() -> None:
    """Run the command line and exit. An error that a person can fix is one line, not a traceback."""
    try:
        # Typer shows its errors in a frame of six lines. We show them like our own.
        sys.exit(app(standalone_mode=False))
    except typer.TyperException as error:
        _say_usage(error)
        sys.exit(_YOURS_TO_FIX)
    except typer.Abort:
        _say("Nothing was done")
        sys.exit(_OURS_TO_FIX)
    except MailerError as error:
        _say(error)
        if _lacks_rights(error.__cause__):
            _say(_OF_A_PRODUCER)
            sys.exit(_YOURS_TO_FIX)
        sys.exit(_YOURS_TO_FIX if isinstance(error, SettingsError | InvalidMessage | InvalidRequest) else _OURS_TO_FIX)
    except OSError as error:
        _say(error)
        sys.exit(_OURS_TO_FIX)
    except Exception as error:
        # Do not import redis-py here: that takes a while. If it is not loaded, the error is not from it.
        redis = sys.modules.get("redis")
        if redis is None or not isinstance(error, redis.exceptions.RedisError):
            raise
        if _lacks_rights(error):
            _say(f"Redis refused: {str(error).rstrip('.')}. {_OF_A_PRODUCER}")
            sys.exit(_YOURS_TO_FIX)
        _say(f"Redis did not answer as it should ({str(error).rstrip('.')}). Check MAILER_REDIS_URL and the server")
        sys.exit(_OURS_TO_FIX)


def _lacks_rights(error: BaseException | None) -> bool:
    # Do not import redis-py here: that takes a while. If it is not loaded, the error is not from it.
    redis = sys.modules.get("redis")
    return redis is not None and isinstance(error, redis.exceptions.NoPermissionError)


def _say_usage(error: Any) -> None:
    """Show a usage error. Its text is empty if the command line had no command: then the help is already shown."""
    said = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    if said:
        _say(f"{said}. {context.command_path if context else 'mailer'} -h shows what there is")


def _say(error: object) -> None:
    for line in (str(error), *getattr(error, "__notes__", ())):
        echo(f"mailer: {line}", err=True)  # anybody may have written the text of an error
