"""The commands of the three places for messages outside their lanes: ``dead``, ``held``, ``scheduled``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Annotated, Any, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from mailer.cli import moments
from mailer.cli.account import open_redis
from mailer.cli.application import new_app
from mailer.cli.console import PlainConsole
from mailer.cli.filters import Filters, filtered
from mailer.cli.printed import echo, json_line
from mailer.cli.shelved import NOUNS, as_json, details, table
from mailer.errors import InvalidRequest, NotFound, Unwritable
from mailer.queue.keys import Keys
from mailer.queue.queue import Queue
from mailer.queue.shelf import Dropped, Filter, Shelf, ShelfName, Which

Names = Annotated[list[str] | None, typer.Argument(help="Their ids, as `list` shows them.", show_default=False)]
Name = Annotated[str, typer.Argument(help="Its id, as `list` shows it.")]
All = Annotated[bool, typer.Option("--all", help="All of them.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, one line for each message.")]
Reveal = Annotated[bool, typer.Option("--reveal", help="Show whole addresses.")]
Limit = Annotated[int, typer.Option(min=0, help="How many at most; 0: all.")]


def shelf_app(name: ShelfName, about: str) -> typer.Typer:
    """The commands of one place."""
    app = new_app(name=name, help=about, no_args_is_help=True)
    for command, called in ((list_, "list"), (show, None), (requeue, None), (drop, None), (export, None)):
        app.command(called)(command)
    if name == "held":
        app.command()(sent)
    return app


@filtered
def list_(
    ctx: typer.Context, *, filters: Filters, limit: Limit = 50, lines: AsJson = False, reveal: Reveal = False
) -> None:
    """List them: the latest first, of the schedule the next to be due first."""
    name = _place(ctx)
    which = filters.of(name)
    with _open(name) as shelf:
        messages = shelf.messages(which, latest_first=name != "scheduled")
        if lines:
            for message in islice(messages, limit or None):
                typer.echo(json_line(as_json(message, reveal=reveal)))
            return
        console, first = _console(), islice(messages, limit or None)
        rows = table(first, scheduled=name == "scheduled", reveal=reveal, width=console.width)
        if not rows.row_count:
            _err(f"No {NOUNS[name][1]}" + (" fit." if len(shelf) else "."))
            return
        console.print(rows)
        more = next(messages, None) is not None
        _err(f"{rows.row_count:,} of {len(shelf):,} {NOUNS[name][1]}" + (". --limit shows more." if more else "."))


def show(ctx: typer.Context, name: Name, lines: AsJson = False, reveal: Reveal = False) -> None:
    """Show all there is to know of one message, but for its bodies: these are in an export."""
    with _open(_place(ctx)) as shelf:
        message = shelf.get(name)
        if lines:
            found = as_json(message, reveal=reveal, fetch_content=shelf.content)
            typer.echo(json_line(found))
        else:
            _console().print(details(message, shelf.content, reveal=reveal))


@filtered
def requeue(
    ctx: typer.Context,
    names: Names = None,
    everything: All = False,
    *,
    filters: Filters,
    first: Annotated[bool, typer.Option("--first", help="To the head of the lane, before all that waits.")] = False,
    to_lane: Annotated[str | None, typer.Option(help="Into this lane instead of its own.", show_default=False)] = None,
    expires_at: Annotated[
        str | None, typer.Option(help="A new expiry for those that have expired: 2h, 18:30, ISO.", show_default=False)
    ] = None,
    yes: Yes = False,
) -> None:
    """Try messages anew: by their ids, by filters, or all.

    Each goes to the tail of its lane (--first: to the head) with no attempts spent, and keeps its earlier reasons.
    Expired messages are refused unless --expires-at gives them a new expiry: a worker would throw them away. If this
    is ended in the middle, each message is either requeued or where it was; the same command does the rest.
    """
    name = _place(ctx)
    which = _which(names, filters.of(name), everything=everything)
    expiry = None if expires_at is None else moments.hence("--expires-at", expires_at)
    with _open(name) as shelf:
        total = _agreed(shelf, "requeue", which, yes=yes, ask=isinstance(which, Filter))
        with _bar("requeue", total) as advance:
            done = shelf.requeue(which, lane=to_lane, first=first, expires_at=expiry, progress=advance)
    typer.echo(f"{done.moved:,} requeued.")
    for why, count in done.refused.items():
        _err(f"{count:,} refused, and left where they are: {why}")
    _tell_missing(name, done.missing)
    raise typer.Exit(1 if done.refused or done.missing else 0)


@filtered
def drop(
    ctx: typer.Context, names: Names = None, everything: All = False, *, filters: Filters, yes: Yes = False
) -> None:
    """Let go of messages for good."""
    name = _place(ctx)
    which = _which(names, filters.of(name), everything=everything)
    with _open(name) as shelf:
        total = _agreed(shelf, "drop", which, yes=yes, ask=True)
        with _bar("drop", total) as advance:
            done = shelf.drop(which, progress=advance)
    _tell_dropped(name, done, "dropped")


@filtered
def sent(
    ctx: typer.Context, names: Names = None, everything: All = False, *, filters: Filters, yes: Yes = False
) -> None:
    """Settle held messages: they were delivered, as a person found out.

    They are let go of, and what they used of the quota stays used. If they were not delivered, `requeue` sends them
    once more.
    """
    name = _place(ctx)
    which = _which(names, filters.of(name), everything=everything)
    with _open(name) as shelf:
        total = _agreed(shelf, "take as sent", which, yes=yes, ask=isinstance(which, Filter))
        with _bar("sent", total) as advance:
            done = shelf.sent(which, progress=advance)
    _tell_dropped(name, done, "taken as sent, and let go of")


@filtered
def export(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(help="A new file, or - for the standard output.")],
    names: Names = None,
    everything: All = False,
    *,
    filters: Filters,
) -> None:
    """Write messages to a file, one line of JSON for each, with everything there is of them.

    All of them where nothing says which. Nothing is changed. A line with `content` holds what the messages after it
    refer to.
    """
    name = _place(ctx)
    chosen = filters.of(name)
    which = _which(names, chosen, everything=everything or (not names and chosen == Filter()))
    with _open(name) as shelf, _new(file) as output, _bar("export", None) as advance:
        written = shelf.export(output, which, progress=advance)
    _err(f"{written:,} {NOUNS[name][written != 1]} written, with addresses and bodies in the clear.")


def _place(ctx: typer.Context) -> ShelfName:
    assert ctx.parent is not None  # noqa: S101 - these are commands of a group
    return cast("ShelfName", ctx.parent.command.name)


@contextmanager
def _open(name: ShelfName) -> Iterator[Shelf]:
    with open_redis() as (client, settings):
        yield Shelf(Queue(client, Keys.of(settings)), name, settings.lanes)


def _which(names: list[str] | None, filters: Filter, *, everything: bool) -> Which:
    given = sum((bool(names), filters != Filter(), everything))
    if given == 0:
        raise InvalidRequest("Say which: ids, filters as --lane or --code, or --all")
    if given > 1:
        raise InvalidRequest("Give ids, or filters, or --all: one of the three")
    return names or filters


def _agreed(shelf: Shelf, verb: str, which: Which, *, yes: bool, ask: bool) -> int:
    """The number of messages, after the person has agreed. Ends the command otherwise."""
    total = shelf.count(which) if isinstance(which, Filter) else len(set(which))
    what = f"{verb} {total:,} {NOUNS[shelf.name][total != 1]}{_described(which)}"
    if total == 0 or not ask:
        return total
    if yes:
        _err(f"{what[0].upper()}{what[1:]}.")
    elif not sys.stdin.isatty():
        raise InvalidRequest(f"This would {what}. Add --yes")
    else:
        typer.confirm(f"{what[0].upper()}{what[1:]}?", abort=True, err=True)
    return total


def _described(which: Which) -> str:
    if not isinstance(which, Filter):
        return ": " + ", ".join(which if len(which) <= 5 else [*which[:4], "..."])
    given = [(name, getattr(which, name)) for name in ("lane", "code", "text", "to")]
    parts = [f"{name} {value}" for name, value in given if value is not None]
    parts += [f"{name} {moments.shown(at)}" for name in ("after", "before") if (at := getattr(which, name))]
    return f" ({', '.join(parts)})" if parts else ""


@contextmanager
def _bar(verb: str, total: int | None) -> Iterator[Any]:
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} messages"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    ) as progress:
        task = progress.add_task(verb, total=total)
        yield lambda done: progress.update(task, completed=done)


@contextmanager
def _new(file: str) -> Iterator[IO[str]]:
    if file == "-":
        yield sys.stdout
        return
    whole, part = Path(file), Path(f"{file}.part")
    if whole.exists() or whole.is_symlink():
        raise InvalidRequest(f"{file}: is there already. Name a new file")
    try:
        # Only the owner may read it.
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InvalidRequest(f"{part}: is there already, of an export that runs or was broken off. Remove it") from None
    # The file gets its own name only when it is complete.
    missing = None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as output:
            try:
                yield output
            except NotFound as error:  # some names do not exist; the file has all the other messages
                missing = error
            output.flush()
            os.fsync(descriptor)
        part.rename(whole)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            why = error.strerror or error
            raise Unwritable(
                f"{file}: cannot be written ({why}), and nothing of it was left. Make room there"
            ) from error
        raise
    if missing is not None:
        raise missing


def _tell_dropped(name: ShelfName, done: Dropped, what: str) -> None:
    typer.echo(f"{done.dropped:,} {what}.")
    _tell_missing(name, done.missing)
    raise typer.Exit(1 if done.missing else 0)


def _tell_missing(name: ShelfName, missing: list[str]) -> None:
    for each in missing:
        _err(f"{each}: no such message is {name}")


def _console() -> Console:
    console = PlainConsole()
    # A file or a pipe has no width. Do not cut anything off for it.
    return console if console.is_terminal else PlainConsole(width=max(console.width, 400))


def _err(text: str) -> None:
    echo(text, err=True)
