"""The demo's picture: sends per second against the allowed rate, and the latency of urgent messages."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailer.demo.figures import Figures, milliseconds
from mailer.testbed.chart import pyplot, save, title

if TYPE_CHECKING:
    from mailer.simulator.inbox import Row

_BULK, _URGENT, _LIMIT = "#4c78a8", "#e45756", "#333333"


def draw(
    folder: Path,
    figures: Figures,
    rows: Sequence[Row],
    urgent_ids: Collection[str],
    latencies: Sequence[tuple[float, float]],
) -> None:
    """Write ``demo.svg`` and ``demo.png`` into ``folder``."""
    began = min(row.at for row in rows)
    figure, (upper, lower) = pyplot().subplots(
        2, 1, figsize=(10, 6.4), sharex=True, height_ratios=(3, 2), layout="constrained"
    )
    _draw_sends(upper, figures, rows, urgent_ids, began)
    _draw_latencies(lower, figures, latencies, began)
    achieved = f"{figures.sent:,} messages at {figures.achieved:.1f} per second of {figures.allowed:g} allowed"
    wrong = f"{figures.throttled} throttled, {figures.lost} lost, {figures.doubled} doubled"
    title(figure, f"{achieved}: {wrong}", 12)
    save(figure, folder / "demo.svg", folder / "demo.png")


def _draw_sends(axes: Any, figures: Figures, rows: Sequence[Row], urgent_ids: Collection[str], began: float) -> None:
    seconds = int(max(row.at for row in rows) - began) + 1
    bulk, urgent = [0] * seconds, [0] * seconds
    for row in rows:
        (urgent if row.message_id in urgent_ids else bulk)[int(row.at - began)] += 1
    edges = [second + 0.5 for second in range(seconds)]
    axes.bar(edges, bulk, width=0.92, color=_BULK, label="bulk")
    axes.bar(edges, urgent, width=0.92, bottom=bulk, color=_URGENT, label="urgent")
    axes.axhline(figures.allowed, color=_LIMIT, linewidth=1.2, linestyle="--", label=f"{figures.allowed:g} allowed")
    axes.set_ylabel("sends in each second")
    axes.set_ylim(0, figures.allowed * 1.25)
    axes.legend(loc="upper right", ncols=3, frameon=False)


def _draw_latencies(axes: Any, figures: Figures, latencies: Sequence[tuple[float, float]], began: float) -> None:
    times = [called - began for called, _ in latencies]
    values = [seconds * 1000 for _, seconds in latencies]
    axes.vlines(times, 0, values, color=_URGENT, linewidth=1, alpha=0.4)
    axes.plot(times, values, "o", color=_URGENT, markersize=4)
    if values:
        half = f"half within {milliseconds(figures.urgent.half)}"
        axes.axhline(figures.urgent.half * 1000, color=_LIMIT, linewidth=0.8, linestyle=":", label=half)
        axes.legend(loc="upper right", frameon=False)
    axes.set_ylim(0, max([*values, 10]) * 1.25)
    axes.set_ylabel("urgent: ms from call to SES")
    axes.set_xlabel("seconds since the first send")
    axes.set_xlim(left=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
