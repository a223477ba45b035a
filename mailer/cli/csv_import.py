"""``mailer import``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import DownloadColumn, TextColumn
from typer import Argument, Option

from mailer.cli.application import prints
from mailer.cli.mail import Mail, checked
from mailer.cli.options import Json
from mailer.cli.printed import echo, tell
from mailer.cli.progress import progress_bar
from mailer.errors import InvalidMessage
from mailer.mail.recipient import Recipient
from mailer.producer.csv_file import CsvRecipients, import_csv
from mailer.producer.producer import Producer
from mailer.producer.send_many import SendManyResult
from mailer.settings import current

_ROWS = "rows"
_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Imported:
    """``accepted`` messages are in the queue, ``duplicates`` had a key that was used within 24 hours, and ``bad`` rows
    were skipped. ``report`` is the file with the bad rows, None without any.
    """

    accepted: int
    bad: int
    duplicates: int
    report: str | None

    def __str__(self) -> str:
        return f"{self.accepted:,} accepted, {self.bad:,} bad, {self.duplicates:,} with a key used before"


@prints(Imported)
def import_(
    file: Annotated[Path, Argument(help="CSV with a header row.", metavar="FILE", exists=True, dir_okay=False)],
    mail: Mail,
    bad_rows: Annotated[Path | None, Option(help="The report of bad rows.", show_default="FILE.bad.csv")] = None,
    strict: Annotated[bool, Option("--strict", help="Enqueue nothing at all if any row is bad.")] = False,
    as_json: Json = False,
) -> None:
    """Send a message to each recipient in a CSV file of any length.

    Needs --from, --subject and a body. Subject, bodies, headers and --list-unsubscribe are templates in the syntax of
    Jinja2.

    The first row names the columns: `to` (or `email`) is the address, `idempotency_key` (if there) keeps a second
    import within 24 hours from sending twice, and the others are the templates' variables: `{{ City }}`, and with _ for
    what a name cannot have, so that the column `First name` is `{{ First_name }}`. Comma, semicolon or tab; UTF-8.

    Bad rows are skipped and reported, with their line numbers, in a CSV file beside it. If there are no
    others, the exit code is 1. Without --lane it takes the least urgent one. Memory does not grow with the file.
    """
    fields = checked(mail.content(files_may_be_bodies=True)) | mail.delivery()
    report = bad_rows or file.with_name(f"{file.name}.bad.csv")
    bar = progress_bar(DownloadColumn(), TextColumn("{task.fields[messages]:,} messages"), transient=False)
    with Producer.of(current()) as producer, CsvRecipients(file, report) as rows, bar:
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
            echo(
                f"mailer: stopped with at least {enqueued:,} messages enqueued. Importing again sends them again, "
                "unless the file has a column idempotency_key",
                err=True,
            )
            raise typer.Exit(_INTERRUPTED) from None
        bar.update(task, completed=rows.size)
    tell(Imported(sent.accepted, bad, sent.duplicates, str(report) if bad else None), as_json=as_json)
    if bad:
        echo(f"mailer: {bad:,} {'row was' if bad == 1 else 'rows were'} bad and skipped: see {report}", err=True)
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
