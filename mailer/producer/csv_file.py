"""Import the recipients of a bulk send from a CSV file. Bad rows go to a report."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TextIO

from mailer.errors import InvalidMessage, Unwritable
from mailer.mail.recipient import Recipient
from mailer.producer.bad_rows import BadRows
from mailer.producer.producer import Producer
from mailer.producer.send_many import SendManyResult

MAX_ROW_CHARS = 1024 * 1024
"""Longer than any row that can be sent: a recipient's variables may take a quarter of this."""

_ADDRESS_COLUMNS = ("to", "email")
_KEY_COLUMN = "idempotency_key"
_DELIMITERS = (",", ";", "\t")
_NOT_IN_NAME = re.compile(r"\W+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SHOWN_CHARS = 100_000  # of a row in the report, so that the csv module can read the report
# The most lines that are read again: the first number times the lines of the file, plus the second.
_READ_AGAIN, _READ_AGAIN_AT_LEAST = 10, 20_000


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The result of an import: that of `send_many`, and the number of rows in the report."""

    sent: SendManyResult
    bad_rows: int


class CsvRecipients:
    """The recipients in a CSV file, read lazily. Use it as a context manager.

    The file is UTF-8, with or without a byte order mark. The delimiter is comma, semicolon or tab. The first row is the
    header. The column ``to`` (or ``email``) holds the address. The optional column ``idempotency_key`` holds the key.
    Every other column is a template variable. ``_`` replaces characters that a variable's name cannot have: ``First
    name`` is ``{{ First_name }}`` and ``2nd`` is ``{{ _2nd }}``. Values are text. Blank lines are skipped.

    Rows that cannot be read go to the CSV file ``report``: those with too few or too many cells, broken quotes, other
    encodings than UTF-8, or more than `MAX_ROW_CHARS`. Its columns are the line on which the row starts (from 1), the
    field, the problem, the remedy and the row itself. A ' precedes text that a spreadsheet would read as a formula. The
    first bad row creates the file. Only users who may read the source may read it. Pass `refuse` to `send_many` as
    ``on_invalid_row``, and the report gets the rows that `send_many` skips too.

    Raises InvalidMessage for a file without a usable header row and for a report of another user. Raises OSError, also
    if the report cannot be written.
    """

    def __init__(self, path: Path, report: Path) -> None:
        self._report = BadRows(report, path)
        self.size = path.stat().st_size
        self.bad_rows = 0
        self.first_bad: tuple[int, InvalidMessage] | None = None
        self._binary = path.open("rb")
        # With surrogateescape a row in another encoding is one bad row, and the report shows its original bytes.
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
        except csv.Error as error:
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
        """The bytes of ``size`` that have been read, for a progress bar. 0 for a pipe."""
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
            except csv.Error as error:
                self._refuse_line(error)
            except InvalidMessage as error:
                self.refuse(error)

    def refuse(self, error: InvalidMessage) -> None:
        """Report the latest row as bad. Raises Unwritable where the report cannot be written."""
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

    def __exit__(self, *_: object) -> None:
        self.close()

    def _refuse_line(self, error: Exception) -> None:
        """Report the first line of the current row, and read its other lines again. So a stray quote costs one row.

        If too many lines have been read again already, report the whole row.
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


class _Lines:
    """The lines of a file. Keeps the lines of the current row. Continues after its end if lines are to be read again.

    Raises csv.Error at a line that is too long, and keeps its beginning. Raises it too at a line that makes the current
    row too long.
    """

    def __init__(self, text: TextIO) -> None:
        self.row: list[str] = []
        self._chars = 0  # of the current row
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
            raise csv.Error(f"it is longer than {MAX_ROW_CHARS:,} characters")
        return line

    def _read(self) -> str:
        line = part = self._text.readline(MAX_ROW_CHARS + 1)
        while len(part) > MAX_ROW_CHARS and not part.endswith(("\r", "\n")):
            part = self._text.readline(MAX_ROW_CHARS + 1)
        self._may_read_again += _READ_AGAIN
        return line

    def begin_row(self) -> int:
        """Drop the current row. Returns the number of its lines."""
        count = len(self.row)
        self.row.clear()
        self._chars = 0
        return count

    def read_again(self, kept: int) -> int:
        """Have all but the first ``kept`` lines of the current row read again. Returns 0.

        If that would exceed the limit, read none of them again and return their number.
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
    """Enqueue a message to each good row with `Producer.send_many`. ``send_many`` are its further arguments.

    Messages are enqueued while the file is read, in constant memory. Bad rows are reported and skipped. Raises as
    `send_many` does.
    """
    sent = producer.send_many(rows, on_invalid="skip", on_invalid_row=rows.refuse, **send_many)
    return ImportResult(sent, rows.bad_rows)


def _delimiter(line: str) -> str:
    """The delimiter with which the header has an address column. Among several, the one with the most columns."""

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
