"""The report of a trial, and its display."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from mailer.testbed.ledger import Account
from ops.bench.figure import Verdict

Fate = Literal["kept", "broken", "skipped"]
CODES: dict[Fate, int] = {"kept": 0, "broken": 1, "skipped": 3}
"""Exit codes. Nobody knows whether the promises of a skipped trial are kept."""
_SHOWN = {"kept": "[green]yes[/]", "broken": "[red]NO[/]", "skipped": "[yellow]skipped[/]"}


@dataclass(slots=True)
class Report:
    """The report of one fault: the actions, the fate of the messages, and whether each promise was kept."""

    fault: str
    what: str
    seed: int
    pulls: int = 0
    """The number of pulls, the single breaks of this fault."""
    seconds: float = 0.0
    account: Account | None = None
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: str = ""
    """The reason why the trial did not run to its end."""
    skipped: str = ""

    @property
    def fate(self) -> Fate:
        if self.skipped:
            return "skipped"
        return "kept" if not self.error and all(verdict.met for verdict in self.verdicts) else "broken"

    def to_json(self) -> dict[str, Any]:
        found = asdict(self)
        found["verdicts"] = [{**asdict(verdict), "met": verdict.met} for verdict in self.verdicts]
        return {**found, "fate": self.fate}


def fate_of(reports: Sequence[Report]) -> Fate:
    """Broken if one is. Otherwise skipped if one is, which says nothing about its promises."""
    fates = {report.fate for report in reports}
    return "broken" if "broken" in fates else "skipped" if "skipped" in fates else "kept"


def show(console: Console, reports: Sequence[Report]) -> None:
    """Print a table of all reports, and the verdicts and notes of each below it."""
    table = Table(title="What was lost, and what came twice", title_justify="left", title_style="bold")
    table.add_column("fault")
    for column in ("pulled", "seconds", "accepted", "sent", "lost", "twice", "held", "dead", "doubtful"):
        table.add_column(column, justify="right")
    table.add_column("kept")
    for report in reports:
        account = report.account
        cells: list[object] = [""] * 7
        if account is not None:
            twice = ", ".join(f"{count} {lane}" for lane, count in sorted(account.twice.items())) or 0
            cells = [account.accepted, account.sent, len(account.lost), twice, account.held, account.dead]
            cells.append(account.doubtful)
        table.add_row(report.fault, str(report.pulls), f"{report.seconds:.0f}", *map(str, cells), _SHOWN[report.fate])
    console.print(table)
    for report in reports:
        console.print(f"[bold]{report.fault}[/]: {report.what} [dim](seed {report.seed})[/]", highlight=False)
        if report.error or report.skipped:
            console.print(
                f"  {report.error or report.skipped}", style="red" if report.error else "yellow", markup=False
            )
        for verdict in report.verdicts:
            console.print(f"  {'[green]kept  [/]' if verdict.met else '[red]BROKEN[/]'} {verdict}", highlight=False)
        for note in report.notes:
            console.print(f"  [dim]{note}[/]", highlight=False)
