"""The report of an import's bad rows: a CSV file with the same readers as the source, and safe to open."""

from __future__ import annotations

import csv
import os
import re
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from mailer.errors import InvalidMessage

REPORT_COLUMNS = ("line", "field", "problem", "remedy", "row")

_READ_BY_OTHERS = 0o004
_READ_BY_GROUP = 0o040
_OWNERS = 0o600
# A spreadsheet reads a cell that begins like this as a formula, and a formula may start a program. The delimiter of a
# spreadsheet depends on its country, so a cell may begin behind any of them. `-12` and `+49 30 123` are not formulas.
# The bounded counts keep the time linear.
_FORMULA = re.compile(
    r"""((?:^|[,;|\t\r\n])["' ]{0,8})"""
    r"""(?=[=@＝＠]|[-+－＋](?![\d ().,/-]{0,32}(?:[,;|\t\r\n"]|$)))"""
)


class BadRows:
    """Writes each bad row at once. The first bad row creates the file.

    Only users who may read the source may read the report. An existing file is overwritten, unless it belongs to
    another user: they could read the rows, or make us overwrite a file. Raises InvalidMessage and OSError.
    """

    def __init__(self, path: Path, source: Path) -> None:
        if path.exists() and source.exists() and path.samefile(source):
            raise InvalidMessage("report", "is the file to import", "Name another file")
        self.path = path
        self._source = source.stat()
        self._file: TextIO | None = None
        # Check before any row is enqueued, as the first bad row may follow many good ones.
        is_new = not path.exists()
        os.close(self._open())
        if is_new:
            path.unlink()

    def write(self, cells: Sequence[object]) -> None:
        """Write a row. Raises OSError."""
        if self._file is None:
            descriptor = self._open()
            self._restrict(descriptor)
            # Line buffering: a killed process or a full disk leaves a report that is complete up to there.
            self._file = os.fdopen(descriptor, "w", buffering=1, encoding="utf-8", errors="surrogateescape", newline="")
            csv.writer(self._file).writerow(REPORT_COLUMNS)
        csv.writer(self._file).writerow([_FORMULA.sub(r"\1'", str(cell)) for cell in cells])

    def close(self) -> None:
        """Close the file. `write` has already written each line, or raised."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()

    def _open(self) -> int:
        with suppress(FileExistsError):
            return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNERS)
        ours = {0, os.geteuid()}
        link = self.path.lstat()
        is_link = stat.S_ISLNK(link.st_mode)
        # The owner of the source may read all rows. But their link may lead to a file that is not theirs.
        self._check(link, ours if is_link else {*ours, self._source.st_uid})
        descriptor = os.open(self.path, os.O_WRONLY | (0 if is_link else os.O_NOFOLLOW))
        try:
            self._check(os.fstat(descriptor), {*ours, self._source.st_uid})
        except InvalidMessage:
            os.close(descriptor)
            raise
        return descriptor

    def _check(self, found: os.stat_result, owners: set[int]) -> None:
        why = ""
        if found.st_uid not in owners:
            why = f"is another user's (uid {found.st_uid})"
        elif stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
            # Any user may have made this name as a second link to one of our files.
            why = "is a file that has another name, too"
        if why:
            raise InvalidMessage("report", f"{self.path} {why}", "Remove it, or name another file")

    def _restrict(self, descriptor: int) -> None:
        """Empty the file, and give it no reader who may not read the source."""
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return
        readers = self._source.st_mode & _READ_BY_OTHERS
        if found.st_gid == self._source.st_gid:
            readers |= self._source.st_mode & _READ_BY_GROUP
        os.fchmod(descriptor, _OWNERS | readers)
        os.ftruncate(descriptor, 0)
