"""A figure: a table of measurements, and whether each target was met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from ops.bench.plot import Plot


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target and its measurement."""

    what: str
    measured: float
    target: float
    unit: str = ""
    at_most: bool = False
    """Whether the target is an upper limit. Otherwise it is a lower limit."""

    @property
    def met(self) -> bool:
        return self.measured <= self.target if self.at_most else self.measured >= self.target

    def __str__(self) -> str:
        sign = "≤" if self.at_most else "≥"
        return f"{self.what}: {self.measured:.4g}{self.unit} (target {sign} {self.target:.6g}{self.unit})"


def growth(what: str, times: float, target: float) -> Verdict:
    """The verdict that a measurement grew by the factor ``times``, at most ``target``."""
    return Verdict(what, times, target, "×", at_most=True)


@dataclass(slots=True)
class Figure:
    """The cells of ``rows`` are in the order of ``columns``. ``notes`` explain the comparison and the counting."""

    name: str
    title: str
    columns: Sequence[str]
    rows: list[Sequence[object]] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    plot: Plot | None = None

    @property
    def met(self) -> bool:
        return all(verdict.met for verdict in self.verdicts)

    def show(self, console: Console) -> None:
        table = Table(title=f"{self.name}: {self.title}", title_justify="left", title_style="bold")
        for position, column in enumerate(self.columns):
            table.add_column(column, justify="left" if position == 0 else "right", no_wrap=position == 0)
        for row in self.rows:
            table.add_row(*(text(cell) for cell in row))
        console.print(table)
        for verdict in self.verdicts:
            console.print(f"  {'[green]met   [/]' if verdict.met else '[red]MISSED[/]'} {verdict}", highlight=False)
        if self.plot is not None and (bars := self.plot.text()):
            console.print(f"  {self.plot.title}", highlight=False)
            console.print(bars, highlight=False)
        for note in self.notes:
            console.print(f"  [dim]{note}[/]", highlight=False)
        console.print()

    def to_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "columns": list(self.columns),
            "rows": [list(row) for row in self.rows],
            "verdicts": [{**asdict(verdict), "met": verdict.met, "text": str(verdict)} for verdict in self.verdicts],
            "notes": self.notes,
        }


def text(cell: object) -> str:
    """A cell as text; numbers are formatted for people."""
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.4g}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
