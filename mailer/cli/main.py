"""The entry point: the command itself, its exit codes, and the form of errors."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer import Option

from mailer.cli.application import new_app
from mailer.cli.commands import Commands
from mailer.cli.printed import echo
from mailer.errors import InvalidMessage, InvalidRequest, MailerError, SettingsError

DONE, NOT_DONE, NOT_RIGHT, INTERRUPTED = 0, 1, 2, 130
EXIT_CODES = {
    DONE: "done, also a search that finds nothing",
    NOT_DONE: "not done: something failed, or what you named is not there",
    NOT_RIGHT: "the command line, a setting or the input is not right; nothing was done",
    INTERRUPTED: "interrupted by Ctrl-C",
}

_OF_A_PRODUCER = (
    "A producer's user may only enqueue, in its lanes: use the operator's user for the rest (docs/operate/deploy.md)"
)

app = new_app(
    cls=Commands,
    add_completion=True,
    no_args_is_help=True,
    epilog=f"Exit codes: {'; '.join(f'**{code}** {meaning}' for code, meaning in EXIT_CODES.items())}.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mailer {version('mailer')}")
        raise typer.Exit


@app.callback()
def _mailer(
    _version: Annotated[
        bool, Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
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
        sys.exit(NOT_RIGHT)
    except typer.Abort:
        _say("Nothing was done")
        sys.exit(NOT_DONE)
    except MailerError as error:
        if isinstance(error, InvalidMessage) and error.field == "sender":
            error = InvalidMessage("--from", error.problem, error.remedy, row=error.row)
        _say(error)
        yours = isinstance(error, SettingsError | InvalidMessage | InvalidRequest)
        sys.exit(NOT_RIGHT if yours else _code_of(error.__cause__))
    except OSError as error:
        _say(error)
        sys.exit(NOT_DONE)
    except Exception as error:
        # Do not import redis-py here: that takes a while. If it is not loaded, the error is not from it.
        redis = sys.modules.get("redis")
        if redis is None or not isinstance(error, redis.exceptions.RedisError):
            raise
        from mailer.queue.failure import words_of  # noqa: PLC0415

        _say(words_of(error))
        sys.exit(_code_of(error))


def _code_of(cause: BaseException | None) -> int:
    """The exit code for an error of redis-py, and a hint where it is the wrong user."""
    # Do not import redis-py here: that takes a while. If it is not loaded, the error is not from it.
    redis = sys.modules.get("redis")
    if redis is not None and isinstance(cause, redis.exceptions.NoPermissionError):
        _say(_OF_A_PRODUCER)
        return NOT_RIGHT
    return NOT_RIGHT if redis is not None and isinstance(cause, redis.exceptions.AuthenticationError) else NOT_DONE


def _say_usage(error: Any) -> None:
    """Show a usage error. Its text is empty if the command line had no command: then the help is already shown."""
    context: Any = getattr(error, "ctx", None)
    said = error.format_message()
    if getattr(error, "option_name", None) and hasattr(error, "possibilities"):
        spelled = [
            opt for each in context.command.params if not each.hidden for opt in (*each.opts, *each.secondary_opts)
        ]
        close = " or ".join(get_close_matches(error.option_name, spelled, n=2))
        said = f"{error.message}. Did you mean {close}?" if close else error.message
    if said:
        end = "" if said.endswith("?") else "."
        _say(f"{said.rstrip('.')}{end} {context.command_path if context else 'mailer'} -h shows what there is")


def _say(error: object) -> None:
    for line in (str(error), *getattr(error, "__notes__", ())):
        echo(f"mailer: {line}", err=True)  # anybody may have written the text of an error
