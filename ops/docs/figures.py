"""The figures of docs/bench.json, for the texts that quote them.

A quote stands between two markers, and the first says where it is from. ``<!--=urgent/150/p99-->72.6<!--/-->`` names a
figure, the beginning of a row's first cell (or ``min``, ``max``) and a column. ``<!--=rate!least of R used-->`` names a
figure and the beginning of a verdict. ``:2`` at the end asks for two significant digits in place of three.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.bench.report import page

_QUOTE = re.compile(r"<!--=([^>]+?)(?::(\d))?-->(.*?)<!--/-->", re.DOTALL)
_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures, each in its latest run."""

    found: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, file: Path) -> Figures:
        return cls(json.loads(file.read_text(encoding="utf-8")))

    def page(self) -> str:
        return page(self.found)

    def filled(self, file: Path) -> str:
        """The file's text with its quotes as measured. Raises ValueError for a quote of a figure that is not there."""

        def quoted(match: re.Match[str]) -> str:
            source, digits, _ = match.groups()
            try:
                value = self.value(source)
            except (LookupError, StopIteration, ValueError) as error:
                raise ValueError(f"{file}: docs/bench.json has no {source!r}") from error
            return f"<!--={source}{f':{digits}' if digits else ''}-->{number(value, int(digits or _DIGITS))}<!--/-->"

        return _QUOTE.sub(quoted, file.read_text(encoding="utf-8"))

    def value(self, source: str) -> float:
        """The measurement that a marker names."""
        figure, is_verdict, what = source.partition("!")
        if is_verdict:
            verdicts = self.found[figure]["verdicts"]
            return float(next(each["measured"] for each in verdicts if each["what"].startswith(what)))
        figure, row, column = source.split("/", 2)
        at = [each.strip() for each in self.found[figure]["columns"]].index(column)
        rows = self.found[figure]["rows"]
        if row in ("min", "max"):
            return float({"min": min, "max": max}[row](each[at] for each in rows if isinstance(each[at], int | float)))
        exact = [each for each in rows if str(each[0]) == row]
        return float((exact or [each for each in rows if str(each[0]).startswith(row)])[0][at])


def unquoted(text: str) -> str:
    """A text without its markers."""
    return _QUOTE.sub(r"\3", text)


def number(value: float, digits: int = _DIGITS) -> str:
    """A number with so many significant digits, for people."""
    return f"{float(f'{value:.{digits}g}'):,.10g}"
