"""The display of a run: a row for each stage as it comes, then bars and the verdict."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.status import Status
from rich.table import Table
from rich.text import Text

from mailer.bench.run import Result
from mailer.bench.stage import Measured
from mailer.bench.verdict import Advice

_WIDTH = 36
_COLUMN = 8  # ten of them fit into 80 characters
_HEAD = ("procs", "threads", "mails/s", "p50 ms", "p90 ms", "p99 ms", "CPU ms", "workers", "Redis", "machine")
_NOT_SENT_STYLE = "bold red"


class Screen:
    """Writes to ``console`` during the run. A terminal also shows the progress below the rows."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None

    def begins(self, place: str, redis: str, redis_round_trip: float) -> None:
        facts = Table.grid(padding=(0, 2))
        facts.add_column(style="dim", no_wrap=True)
        facts.add_column()
        facts.add_row("SES", place)
        facts.add_row("Redis", f"{redis}, {1000 * redis_round_trip:.2g} ms away")
        self._console.print(facts)
        self._console.print()
        self._console.print("".join(f"{name:>{_COLUMN}}" for name in _HEAD), style="dim", soft_wrap=True)

    def step(self, processes: int, threads: int, what: str) -> None:
        text = f"{processes} process{'es' if processes > 1 else ''} of {threads} threads: {what}"
        if not self._console.is_terminal:
            return
        if self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        self._status.update(text)

    def measured(self, stage: Measured) -> None:
        self._pause()
        cells = [f"{stage.processes}", f"{stage.threads}", _number(stage.per_second)]
        trips = stage.round_trips
        cells += [_number(1000 * seconds) for seconds in (trips.half, trips.nine_in_ten, trips.ninety_nine)]
        cells += [f"{stage.worker_ms:.2f}", f"{stage.worker_cpu:.0%}", f"{stage.redis_cpu:.0%}", f"{stage.busy:.0%}"]
        self._console.print("".join(f"{cell:>{_COLUMN}}" for cell in cells), soft_wrap=True)
        for name, count in stage.failures.items():
            self._console.print(f"{'':>{_COLUMN}}{count} not sent: {name}", style=_NOT_SENT_STYLE)

    def close(self) -> None:
        self._pause()

    def _pause(self) -> None:
        status, self._status = self._status, None
        if status is not None:
            status.stop()


def report(result: Result) -> RenderableType:
    """Bars, the finding, and the advice."""
    highest = result.best.per_second
    bars = Table.grid(padding=(0, 2))
    bars.add_column(justify="right", style="dim", no_wrap=True)
    bars.add_column(no_wrap=True)
    for stage in result.stages:
        bar = "█" * max(1, round(_WIDTH * stage.per_second / highest))
        bars.add_row(f"{stage.processes} × {stage.threads}", f"[cyan]{bar}[/] {_number(stage.per_second)}/s")
    return Group(
        Text(),
        bars,
        Text(),
        Text.assemble(("What limits it  ", "dim"), f"{result.finding.why}."),
        Text.assemble(("What it takes   ", "dim"), *_advice(result.advice, result.cores)),
    )


def _advice(advice: Advice, cores: int) -> list[str | tuple[str, str]]:
    parts: list[str | tuple[str, str]] = [
        f"{advice.rate:,g} mails per second: ",
        (f"mailer worker --processes {advice.processes} --threads {advice.threads}", "bold"),
    ]
    if advice.hosts > 1:
        parts.append(f" in all, on {advice.hosts} hosts like this one of {cores} cores")
    parts.append(f"; Redis uses at most {advice.redis_cpu:.0%} of one core for it.")
    if advice.beyond_account:
        parts.append((" The account does not allow that much: ask AWS for a higher send rate.", "yellow"))
    return parts


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
