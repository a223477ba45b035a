"""Importing: the recipients of a bulk send from a CSV file, bad rows to a report."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from mailer.errors import InvalidMessage, Unwritable
from mailer.mail.recipient import Recipient
from mailer.producer.bad_rows import BadRows
from mailer.producer.producer import Producer
from mailer.producer.send_many import SendManyResult

MAX_ROW_CHARS = 1024 * 1024
"""More than any row that can be sent: the variables of a recipient may have a quarter of it."""

_ADDRESS_COLUMNS = ("to", "email")
_KEY_COLUMN = "idempotency_key"
_DELIMITERS = (",", ";", "\t")
_NOT_IN_NAME = re.compile(r"\W+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SHOWN_CHARS = 100_000  # of a row in the report, which the csv module can read then
# Lines may be read again so many times as often as there are, and so many more.
_READ_AGAIN, _READ_AGAIN_AT_LEAST = 10, 20_000


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What became of an import: the `send_many` result, and how many rows the report holds."""

    sent: SendManyResult
    bad_rows: int


class CsvRecipients:
    """The recipients in a CSV file, read as they are asked for. Use it as a context manager.

    The file is UTF-8, with or without a byte order mark, delimited by comma, semicolon or tab, and begins with a
    header row. The column ``to`` (or ``email``) holds the address, ``idempotency_key`` (if there) the key, and every
    other column is a template variable of its name, with ``_`` for what a variable's name cannot have: ``First name``
    is ``{{ First_name }}`` and ``2nd`` is ``{{ _2nd }}``. Values are text; blank lines are passed over.

    Rows that cannot be read (too few or too many cells, broken quotes, not UTF-8, over `MAX_ROW_CHARS`) go to the CSV
    file ``report``, made with the first of them, for whoever may read the source: the line on which the row starts
    (from 1), the field, the problem, the remedy and the row as it stands in the file, with a ' before what a
    spreadsheet would take for a formula. Give `refuse` to `send_many` as ``on_invalid_row`` and the rows that it skips
    join them.

    Raises InvalidMessage for a file without a usable header row and for a report that is another user's, and OSError,
    also if the report cannot be written.
    """

    def __init__(self, path: Path, report: Path) -> None:
        self._report = BadRows(report, path)
        self.size = path.stat().st_size
        self.bad_rows = 0
        self.first_bad: tuple[int, InvalidMessage] | None = None
        self._binary = path.open("rb")
        # surrogateescape, so that a row in another encoding is one bad row and comes out in the report as it was.
        self._text = io.TextIOWrapper(self._binary, encoding="utf-8-sig", errors="surrogateescape", newline="")
        self._lines = _Lines(self._text)
        self._line = 1
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        try:
            delimiter = _delimiter(next(self._lines, ""))
            self._lines.read_again(0)
            self._reader = csv.reader(self._lines, delimiter=delimiter, strict=True)
            header = next(self._reader, [])
        except (csv.Error, _TooLong) as error:
            raise InvalidMessage(
                "header row", f"cannot be read: {error}", "Save the file as CSV, and look at its quotes"
            ) from error
        self._columns = _columns(header)

    @property
    def variables(self) -> tuple[str, ...]:
        """The names that the templates may use."""
        return tuple(name for name in self._columns if name not in ("to", _KEY_COLUMN))

    @property
    def bytes_read(self) -> int:
        """How far into the file's ``size`` reading has come, for a progress bar; 0 in a pipe."""
        return 0 if self._binary.closed or not self._binary.seekable() else self._binary.tell()

    def __iter__(self) -> Iterator[Recipient]:
        while True:
            self._line += self._lines.begin_row()
            try:
                cells = next(self._reader, None)
                if cells is None:
                    return
                if cells:
                    yield self._recipient(cells)
            except (csv.Error, _TooLong) as error:
                self._refuse_line(error)
            except InvalidMessage as error:
                self.refuse(error)

    def refuse(self, error: InvalidMessage) -> None:
        """Report the row last read as bad. Raises Unwritable where the report cannot be written."""
        row = "".join(self._lines.row).rstrip("\r\n")
        if len(row) > _SHOWN_CHARS:
            row = f"{row[:_SHOWN_CHARS]} ..."
        try:
            self._report.write((self._line, error.field, error.problem, error.remedy, row))
        except OSError as why:
            raise Unwritable(
                f"{self._report.path}: the report of bad rows cannot be written ({why.strerror or why}). From line "
                f"{self._line} on, which is bad, nothing was enqueued. Make room there, or name another file"
            ) from why
        self.bad_rows += 1
        self.first_bad = self.first_bad or (self._line, error)

    def close(self) -> None:
        """Close the file and the report."""
        self._text.close()
        self._report.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _refuse_line(self, error: Exception) -> None:
        """Report the first line of the row in hand and read the others once more: a stray quote costs one row.

        Where that would have to be done again and again, report all of them.
        """
        others = self._lines.read_again(1)
        joined = f". It goes on over the {others:,} lines after it" if others else ""
        self.refuse(InvalidMessage("row", f"is not CSV: {error}{joined}", "Correct its quotes"))

    def _recipient(self, cells: list[str]) -> Recipient:
        if len(cells) != len(self._columns):
            raise InvalidMessage(
                "row",
                f"has {len(cells)} cells where the header row has {len(self._columns)}",
                "Quote cells that hold the delimiter, and fill in what is missing",
            )
        if any(_SURROGATE.search(cell) for cell in cells if not cell.isascii()):
            raise InvalidMessage("row", "is not UTF-8", "Save the file as UTF-8")
        values: dict[str, object] = dict(zip(self._columns, cells, strict=True))
        return Recipient(
            to=str(values.pop("to")).strip(),
            idempotency_key=str(values.pop(_KEY_COLUMN, "")) or None,
            variables=values,
        )


class _TooLong(Exception):
    """A row is longer than `MAX_ROW_CHARS`."""

    def __init__(self) -> None:
        super().__init__(f"it is longer than {MAX_ROW_CHARS:,} characters")


class _Lines:
    """The lines of a file, keeping those of the row in hand. Goes on after its end if lines are to be read again.

    Raises _TooLong at a line that is too long, which is kept in part, and at one that makes the row in hand too long.
    """

    def __init__(self, text: TextIO) -> None:
        self.row: list[str] = []
        self._chars = 0  # of the row in hand
        self._text = text
        self._again: deque[str] = deque()
        self._may_read_again = _READ_AGAIN_AT_LEAST

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._read()
        if not line:
            raise StopIteration
        self.row.append(line)
        self._chars += len(line)
        if self._chars > MAX_ROW_CHARS:
            if len(line) > MAX_ROW_CHARS:
                self.row[-1] = line[: _SHOWN_CHARS + 1]
            raise _TooLong
        return line

    def _read(self) -> str:
        line = part = self._text.readline(MAX_ROW_CHARS + 1)
        while len(part) > MAX_ROW_CHARS and not part.endswith(("\r", "\n")):
            part = self._text.readline(MAX_ROW_CHARS + 1)
        self._may_read_again += _READ_AGAIN
        return line

    def begin_row(self) -> int:
        """Let go of the row in hand. Returns how many lines it had."""
        count = len(self.row)
        self.row.clear()
        self._chars = 0
        return count

    def read_again(self, kept: int) -> int:
        """Give back all but the first ``kept`` lines of the row in hand.

        Returns how many of them were not given back, as too many were before.
        """
        others = len(self.row) - kept
        if others > self._may_read_again:
            return others
        self._may_read_again -= others
        self._again.extendleft(reversed(self.row[kept:]))
        del self.row[kept:]
        self._chars = sum(map(len, self.row))
        return 0


def import_csv(producer: Producer, rows: CsvRecipients, **send_many: Any) -> ImportResult:
    """Enqueue a message to each good row with `Producer.send_many`, whose arguments ``send_many`` are.

    Constant memory, at once while reading; bad rows are reported and skipped. Raises what `send_many` raises.
    """
    sent = producer.send_many(rows, on_invalid="skip", on_invalid_row=rows.refuse, **send_many)
    return ImportResult(sent, rows.bad_rows)


def _delimiter(line: str) -> str:
    """The delimiter that finds an address column in the header, the one with more columns where several do."""

    def rank(delimiter: str) -> tuple[bool, int]:
        cells = next(csv.reader([line], delimiter=delimiter), [])
        return any(cell.strip().lower() in _ADDRESS_COLUMNS for cell in cells), len(cells)

    return max(_DELIMITERS, key=rank)


def _columns(header: list[str]) -> tuple[str, ...]:
    names = [cell.strip() for cell in header]
    if any("\0" in name for name in names):
        raise InvalidMessage("header row", "is not UTF-8 text", "Save the file as CSV in UTF-8, not UTF-16")
    if any(_SURROGATE.search(name) for name in names):
        raise InvalidMessage("header row", "is not UTF-8", "Save the file as UTF-8")
    lowered = [name.lower() for name in names]
    address = next((name for name in _ADDRESS_COLUMNS if name in lowered), None)
    if address is None:
        raise InvalidMessage(
            "header row",
            "has no column named to or email",
            "Name the columns in the first row, delimited by , ; or tab",
        )
    columns: dict[str, None] = {}
    for position, (name, lower) in enumerate(zip(names, lowered, strict=True), start=1):
        column = "to" if lower == address else lower if lower == _KEY_COLUMN else _variable(name)
        if not column.strip("_"):
            raise InvalidMessage("header row", f"has no name for column {position}", "Name every column")
        if column in columns:
            raise InvalidMessage("header row", f"has two columns named {column}", "Rename one")
        columns[column] = None
    return tuple(columns)


def _variable(name: str) -> str:
    variable = _NOT_IN_NAME.sub("_", name)
    return f"_{variable}" if variable[:1].isdigit() else variable
