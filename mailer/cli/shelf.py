"""The commands of the three places for messages outside their lanes: ``dead``, ``held``, ``scheduled``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, cast

import typer
from rich.progress import TextColumn
from typer import Argument, Option

from mailer.cli import moments
from mailer.cli.account import open_redis
from mailer.cli.application import App, new_app, prints
from mailer.cli.choice import Choice, Filters, described
from mailer.cli.console import fitting_console
from mailer.cli.new_file import new_file
from mailer.cli.options import LANE, WHEN, Id, Json, Yes
from mailer.cli.printed import echo, show_json
from mailer.cli.progress import progress_bar
from mailer.cli.shelved import NOUNS, SetAside, details, document, table
from mailer.errors import InvalidRequest
from mailer.queue.keys import Keys
from mailer.queue.queue import Queue
from mailer.queue.shelf import Dropped, Filter, Progress, Requeued, Shelf, ShelfName, Which

Reveal = Annotated[bool, Option("--reveal", help="Show whole addresses.")]


@dataclass(frozen=True, slots=True)
class Exported:
    """``exported`` messages are in ``file``."""

    exported: int
    file: str


def shelf_app(name: str, about: str) -> App:
    """The commands of one place."""
    app = new_app(name=name, help=about, no_args_is_help=True)
    for command, called in ((list_, "list"), (show, None), (requeue, None), (drop, None), (export, None)):
        app.command(called)(command)
    if name == "held":
        app.command()(sent)
    return app


@prints(SetAside, each="message")
def list_(
    ctx: typer.Context,
    filters: Filters,
    limit: Annotated[int, Option(min=0, help="How many at most; 0: all.")] = 50,
    reveal: Reveal = False,
    as_json: Json = False,
) -> None:
    """List the messages.

    The latest first; `mailer scheduled` lists the ones first that are due first.
    """
    name = _place(ctx)
    which = filters.filter(name)
    with _open(name) as shelf:
        messages = shelf.messages(which, latest_first=name != "scheduled")
        first = islice(messages, limit or None)
        if as_json:
            for message in first:
                show_json(document(message, reveal=reveal))
            return
        console = fitting_console()
        rows = table((document(each, reveal=reveal) for each in first), name, width=console.width)
        if not rows.row_count:
            _err(f"No {NOUNS[name][1]}" + (" fit." if len(shelf) else "."))
            return
        console.print(rows)
        more = next(messages, None) is not None
        _err(f"{rows.row_count:,} of {len(shelf):,} {NOUNS[name][1]}" + (". --limit shows more." if more else "."))


@prints(SetAside)
def show(ctx: typer.Context, name: Id, reveal: Reveal = False, as_json: Json = False) -> None:
    """Show one message: why it is here, and all of the mail but its bodies. An export has these."""
    with _open(_place(ctx)) as shelf:
        found = document(shelf.get(name), reveal=reveal, fetch_content=shelf.content)
    if as_json:
        show_json(found)
    else:
        fitting_console().print(details(found))


@prints(Requeued)
def requeue(
    ctx: typer.Context,
    choice: Choice,
    first: Annotated[bool, Option("--first", help="To the head of the lane, before all that waits.")] = False,
    to_lane: Annotated[str | None, Option(help="Into this lane instead of its own.", **LANE)] = None,
    expires_at: Annotated[
        str | None, Option(help="A new expiry for those that have expired: 2h, 18:30, ISO 8601.", **WHEN)
    ] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Send messages again: by their ids, by filters, or all.

    Each goes to the tail of its lane (--first: to the head) with no attempts spent, and keeps its earlier reasons.
    Expired messages are refused unless --expires-at gives them a new expiry: a worker would throw them away. If this
    is ended in the middle, each message is either requeued or where it was; the same command does the rest.
    """
    expiry = None if expires_at is None else moments.hence("--expires-at", expires_at)
    with _chosen(ctx, choice, "requeue", yes=yes, asks_for_ids=False) as (shelf, which, advance):
        done = shelf.requeue(which, lane=to_lane, first=first, expires_at=expiry, progress=advance)
    for why, count in done.refused.items():
        _err(f"{count:,} refused, and left where they are: {why}")
    _end(shelf, done, f"{done.moved:,} requeued.", as_json=as_json)


@prints(Dropped)
def drop(ctx: typer.Context, choice: Choice, yes: Yes = False, as_json: Json = False) -> None:
    """Delete messages for good: by their ids, by filters, or all."""
    with _chosen(ctx, choice, "drop", yes=yes) as (shelf, which, advance):
        done = shelf.drop(which, progress=advance)
    _end(shelf, done, f"{done.dropped:,} dropped.", as_json=as_json)


@prints(Dropped)
def sent(ctx: typer.Context, choice: Choice, yes: Yes = False, as_json: Json = False) -> None:
    """Say that held messages were delivered, and delete them: by their ids, by filters, or all.

    Their part of the quota stays used. If they were not delivered, `requeue` sends them again.
    """
    with _chosen(ctx, choice, "take as delivered", yes=yes, asks_for_ids=False) as (shelf, which, advance):
        done = shelf.sent(which, progress=advance)
    _end(shelf, done, f"{done.dropped:,} taken as delivered, and deleted.", as_json=as_json)


@prints(Exported)
def export(
    ctx: typer.Context,
    file: Annotated[str, Argument(help="A new file, or - for the standard output.", metavar="FILE")],
    choice: Choice,
    as_json: Json = False,
) -> None:
    """Write messages to a file, one line of JSON for each, with their addresses and bodies: by ids, by filters, or all.

    Nothing is changed. A line with `content` holds what the messages after it refer to.
    """
    name = _place(ctx)
    which = choice.which(name)
    with _open(name) as shelf, new_file(file) as output, _bar("export", None) as advance:
        written = shelf.export(output, which, progress=advance)
    if as_json:
        # With -, the standard output has the messages.
        show_json(Exported(written, file), err=file == "-")
    else:
        _err(f"{written:,} {NOUNS[name][written != 1]} written, with addresses and bodies in the clear.")


def _place(ctx: typer.Context) -> ShelfName:
    assert ctx.parent is not None  # noqa: S101 - these are commands of a group
    return cast("ShelfName", ctx.parent.command.name)


@contextmanager
def _open(name: ShelfName) -> Iterator[Shelf]:
    with open_redis() as (client, settings):
        yield Shelf(Queue(client, Keys.of(settings)), name, settings.lanes)


@contextmanager
def _chosen(
    ctx: typer.Context, choice: Choice, verb: str, *, yes: bool, asks_for_ids: bool = True
) -> Iterator[tuple[Shelf, Which, Progress]]:
    """The place, the chosen messages, and a progress bar, once the person has agreed. Ends the command otherwise."""
    name = _place(ctx)
    which = choice.which(name)
    with _open(name) as shelf:
        total = shelf.count(which) if isinstance(which, Filter) else len(set(which))
        what = f"{verb} {total:,} {NOUNS[name][total != 1]}{described(which)}"
        if total and (asks_for_ids or isinstance(which, Filter)):
            if yes:
                _err(f"{what[0].upper()}{what[1:]}.")
            elif not sys.stdin.isatty():
                raise InvalidRequest(f"This would {what}. Add --yes")
            else:
                typer.confirm(f"{what[0].upper()}{what[1:]}?", abort=True, err=True)
        with _bar(verb, total) as advance:
            yield shelf, which, advance


def _end(shelf: Shelf, done: Requeued | Dropped, words: str, *, as_json: bool) -> None:
    if as_json:
        show_json(done)
    else:
        echo(words)
    for each in done.missing:
        _err(f"{each}: no such message is {shelf.name}")
    raise typer.Exit(1 if done.missing or getattr(done, "refused", None) else 0)


@contextmanager
def _bar(verb: str, total: int | None) -> Iterator[Callable[[int], None]]:
    with progress_bar(TextColumn("{task.completed:,.0f} messages")) as progress:
        task = progress.add_task(verb, total=total)
        yield lambda done: progress.update(task, completed=done)


def _err(text: str) -> None:
    echo(text, err=True)
