"""The demo's progress: a live picture in a terminal, otherwise a plain line now and then."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mailer.demo.figures import milliseconds
from mailer.operations.status import AccountStatus
from mailer.testbed.stats import Quantiles

_BLOCKS = "▁▂▃▄▅▆▇█"
_HISTORY = 48
_PLAIN_EVERY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Moment:
    """The state of the demo at one moment."""

    elapsed: float
    accepted: int
    sent: int
    rate: float
    allowed: float
    throttled: int
    urgent: Quantiles
    last_urgent: float | None
    account: AccountStatus

    @property
    def to_go(self) -> float:
        """Seconds for the rest at the allowed rate."""
        return max(0, self.accepted - self.sent) / self.allowed


class Screen:
    """Shows moments. ``places`` are the addresses to show above them."""

    def __init__(self, console: Console, places: dict[str, str]) -> None:
        self._console = console
        self._places = places
        self._rates: deque[float] = deque(maxlen=_HISTORY)
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._said_at = 0.0

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        else:
            for place, where in self._places.items():
                self._console.print(f"{place}: {where}")
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, moment: Moment, *, last: bool = False) -> None:
        self._rates.append(moment.rate)
        if self._live is not None:
            self._live.update(self._picture(moment), refresh=True)
        elif last or time.monotonic() - self._said_at >= _PLAIN_EVERY_SECONDS:
            self._said_at = time.monotonic()
            self._console.print(_line(moment), soft_wrap=True)

    def _picture(self, moment: Moment) -> RenderableType:
        facts = Table.grid(padding=(0, 2))
        facts.add_column(style="dim", no_wrap=True, width=10)
        facts.add_column(no_wrap=True)
        for place, where in self._places.items():
            facts.add_row(place, where)
        facts.add_row()
        facts.add_row("sent", self._progress(moment))
        facts.add_row("per second", self._rate(moment))
        facts.add_row("lanes", _lanes(moment.account))
        facts.add_row("urgent", _urgent(moment))
        style = "green" if not moment.throttled else "bold red"
        facts.add_row("throttled", Text(f"{moment.throttled}", style=style))
        return Panel(facts, title="mailer demo", title_align="left", border_style="cyan", padding=(1, 2))

    def _progress(self, moment: Moment) -> RenderableType:
        row = Table.grid(padding=(0, 2))
        total = max(1, moment.accepted)
        bar = ProgressBar(total=total, completed=moment.sent, width=32)
        to_go = f"{moment.to_go:.0f} s to go" if moment.sent < moment.accepted else f"in {moment.elapsed:.0f} s"
        row.add_row(bar, f"{moment.sent:,} of {moment.accepted:,}", Text(to_go, style="dim"))
        return row

    def _rate(self, moment: Moment) -> Text:
        ceiling = max(moment.allowed * 1.1, *self._rates)
        steps = len(_BLOCKS) - 1
        curve = "".join(_BLOCKS[min(steps, round(rate / ceiling * steps))] for rate in self._rates)
        return Text.assemble((curve, "cyan"), f"  {moment.rate:.0f}", (f" of {moment.allowed:g} allowed", "dim"))


def _lanes(account: AccountStatus) -> Text:
    text = Text()
    for lane in account.lanes:
        text.append(f"{lane.name} ", style="dim")
        text.append(f"{lane.waiting:,}   ")
    text.append("in flight ", style="dim")
    text.append(f"{account.in_flight:,}")
    return text


def _urgent(moment: Moment) -> Text:
    urgent = moment.urgent
    if moment.last_urgent is None:
        return Text("none yet", style="dim")
    text = Text(f"{urgent.count} sent", style="")
    for name, seconds in (
        ("the last in", moment.last_urgent),
        ("half within", urgent.half),
        ("slowest", urgent.longest),
    ):
        text.append(f"   {name} ", style="dim")
        text.append(milliseconds(seconds), style="yellow" if name == "the last in" else "")
    return text


def _line(moment: Moment) -> str:
    lanes = ", ".join(f"{lane.name} {lane.waiting:,}" for lane in moment.account.lanes)
    return (
        f"{moment.elapsed:5.1f} s  sent {moment.sent:,} of {moment.accepted:,}, {moment.rate:.0f}/s of "
        f"{moment.allowed:g} allowed; waiting: {lanes}; urgent: {moment.urgent.count} sent, slowest "
        f"{milliseconds(moment.urgent.longest)}; throttled {moment.throttled}; {moment.to_go:.0f} s to go"
    )


def report(lines: list[tuple[str, str]], good: bool, verdict: str) -> RenderableType:
    """The figures and the verdict."""
    table = Table.grid(padding=(0, 3))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for name, value in lines:
        table.add_row(name, value)
    return Group(Text(), table, Text(), Text(verdict, style="bold green" if good else "bold red"))
