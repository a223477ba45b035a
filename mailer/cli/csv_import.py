"""``mailer import``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from mailer.cli import options
from mailer.cli.application import new_app
from mailer.cli.printed import echo
from mailer.errors import InvalidMessage
from mailer.mail.recipient import Recipient
from mailer.producer.csv_file import CsvRecipients, import_csv
from mailer.producer.producer import Producer
from mailer.producer.send_many import SendManyResult
from mailer.settings import current

app = new_app()


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV with a header row.", exists=True, dir_okay=False)],
    sender: options.Sender,
    subject: Annotated[str, typer.Option(help="The subject line, a template in Jinja2's syntax.")],
    html: Annotated[
        Path | None,
        typer.Option(help="File with the HTML, a template as well.", exists=True, dir_okay=False, show_default=False),
    ] = None,
    text: Annotated[
        Path | None,
        typer.Option(
            help="File with the plain text, a template as well.", exists=True, dir_okay=False, show_default=False
        ),
    ] = None,
    lane: options.Lane = None,
    send_at: options.SendAt = None,
    expires_at: options.ExpiresAt = None,
    bad_rows: Annotated[
        Path | None, typer.Option(help="Where to report bad rows. (default: FILE.bad.csv)", show_default=False)
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Enqueue nothing at all if any row is bad.")] = False,
    attach: options.Attach = None,
    reply_to: options.ReplyTo = None,
    tag: options.Tag = None,
    header: options.Header = None,
    configuration_set: options.ConfigurationSet = None,
    list_unsubscribe: options.ListUnsubscribe = None,
    durable: options.Durable = False,
) -> None:
    """Send a message to each recipient in a CSV file of any length.

    The first row names the columns: `to` (or `email`) is the address, `idempotency_key` (if there) keeps a second
    import within 24 hours from sending twice, and the others are the templates' variables: `{{ City }}`, and with _ for
    what a name cannot have, so that the column `First name` is `{{ First_name }}`. Comma, semicolon or tab; UTF-8.

    Bad rows are skipped and reported, with their line numbers, in a CSV file beside it. If there are no
    others, the exit code is 1. Without --lane it takes the least urgent one. Memory does not grow with the file.
    """
    marked_up, plain = options.read_text("html", html), options.read_text("text", text)
    if not marked_up and not plain:
        missing = html is None and text is None
        raise InvalidMessage(
            "text", f"is {'missing' if missing else 'empty'}, and html too", "Give --text, --html or both, each a file"
        )
    report = bad_rows or file.with_name(f"{file.name}.bad.csv")
    fields: dict[str, Any] = {
        "sender": sender,
        "subject": subject,
        "html": marked_up,
        "text": plain,
        "lane": lane,
        "send_at": options.moment("--send-at", send_at),
        "expires_at": options.moment("--expires-at", expires_at),
        "reply_to": reply_to or (),
        "headers": options.pairs("header", header),
        "attachments": options.attachments(attach),
        "configuration_set": configuration_set,
        "tags": options.pairs("tag", tag),
        "list_unsubscribe": list_unsubscribe,
        "durable": durable,
    }
    console = Console(stderr=True)
    with (
        Producer.of(current()) as producer,
        CsvRecipients(file, report) as rows,
        _bar(console) as bar,
    ):
        task = bar.add_task("import", total=rows.size, messages=0)
        enqueued = 0

        def show(_rows: int, messages: int) -> None:
            nonlocal enqueued
            enqueued = messages
            bar.update(task, completed=rows.bytes_read, messages=messages)

        try:
            if strict:
                sent, bad = _all_or_none(producer, rows, report, progress=show, **fields), 0
            else:
                result = import_csv(producer, rows, progress=show, **fields)
                sent, bad = result.sent, result.bad_rows
        except KeyboardInterrupt:
            bar.stop()
            typer.echo(
                f"mailer: stopped with at least {enqueued:,} messages enqueued. Importing again sends them again, "
                "unless the file has a column idempotency_key",
                err=True,
            )
            raise typer.Exit(_INTERRUPTED) from None
        bar.update(task, completed=rows.size)
    typer.echo(f"{sent.accepted:,} accepted, {bad:,} bad, {sent.duplicates:,} with a key used before")
    if bad:
        typer.echo(f"mailer: {bad:,} {'row was' if bad == 1 else 'rows were'} bad and skipped: see {report}", err=True)
    if bad and not sent.accepted and not sent.duplicates:
        echo(f"mailer: no row could be sent.{_first(rows)}", err=True)
        raise typer.Exit(1)


def _first(rows: CsvRecipients) -> str:
    """The problem of the first bad row. If the template is wrong, all rows have the same problem."""
    if rows.first_bad is None:
        return ""
    line, error = rows.first_bad
    why = f"{error.field}: {error.problem}. {error.remedy}"
    named = ", ".join(rows.variables) or "none"
    return f" Line {line}: {why}. The variables that templates may use here: {named}"


_ROWS = "rows"
_INTERRUPTED = 130


def _all_or_none(producer: Producer, rows: CsvRecipients, report: Path, **options: Any) -> SendManyResult:
    try:
        return producer.send_many(_all_good(rows), on_invalid="raise", **options)
    except InvalidMessage as error:
        if error.row is None and error.field != _ROWS:
            raise
        found = f"{rows.bad_rows} bad"
        if error.row is not None:
            rows.refuse(error)
            found = "one is bad, and those after it were not looked at"
        raise InvalidMessage(_ROWS, f"{found}, so nothing was enqueued (--strict)", f"See {report}") from error


def _all_good(rows: CsvRecipients) -> Iterator[Recipient]:
    """The rows, then an error if any row could not be read. `send_many` enqueues nothing before the end."""
    yield from rows
    if rows.bad_rows:
        raise InvalidMessage(_ROWS, f"{rows.bad_rows} cannot be read", "See the report")


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[messages]:,} messages"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
