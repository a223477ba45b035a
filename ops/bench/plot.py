"""A figure's picture: bars in the terminal, and an SVG file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mailer.testbed.chart import pyplot, save, title

_FIRST, _OTHER = "#4c78a8", "#b8b8b8"
_WIDTH = 40
_FONT_SIZE = 9


@dataclass(frozen=True, slots=True)
class Bars:
    """One value for each name. If they are ``compared``, names that start like the first are mailer's."""

    title: str
    values: Mapping[str, float]
    compared: bool = True

    def text(self) -> str:
        longest, highest = max(map(len, self.values)), max(self.values.values())
        return "\n".join(
            f"  {name:<{longest}} {'█' * max(1, round(_WIDTH * value / highest))} {value:,.4g}"
            if value < 1000
            else f"  {name:<{longest}} {'█' * max(1, round(_WIDTH * value / highest))} {value:,.0f}"
            for name, value in self.values.items()
        )

    def draw(self, path: Path) -> None:
        figure, axes = pyplot(_FONT_SIZE).subplots(figsize=(8, 0.45 * len(self.values) + 0.8), layout="constrained")
        names = list(self.values)
        ours = names[0].partition(",")[0] if self.compared else ""
        bars = axes.barh(
            names, list(self.values.values()), color=[_FIRST if n.startswith(ours) else _OTHER for n in names]
        )
        axes.bar_label(bars, fmt="{:,.0f}", padding=3)
        axes.invert_yaxis()
        axes.set_title(self.title, loc="left", fontsize=11)
        axes.margins(x=0.12)
        axes.xaxis.set_visible(False)
        axes.spines["bottom"].set_visible(False)
        save(figure, path)


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines over one axis. ``lines`` maps a name to its values at ``at``."""

    title: str
    xlabel: str
    at: Sequence[float]
    lines: Mapping[str, Sequence[float]]
    log_y: bool = False


@dataclass(frozen=True, slots=True)
class Panels:
    """Several panels beside each other, with a logarithmic x-axis."""

    title: str
    panels: Sequence[Panel] = field(default_factory=list)

    def text(self) -> str:
        """Empty, as the tables show these numbers better."""
        return ""

    def draw(self, path: Path) -> None:
        columns = min(3, len(self.panels))
        rows = -(-len(self.panels) // columns)
        figure, all_axes = pyplot(_FONT_SIZE).subplots(
            rows, columns, figsize=(3.6 * columns, 2.7 * rows), layout="constrained", squeeze=False
        )
        for axes, panel in zip(all_axes.flat, self.panels, strict=False):
            for name, values in panel.lines.items():
                axes.plot(panel.at, values, marker="o", markersize=4, label=name)
            axes.set_xscale("log")
            if panel.log_y:
                axes.set_yscale("log")
                axes.yaxis.set_major_formatter(lambda value, _: short(value))
            else:
                # Leave room above. Otherwise a line along 100 % is cut in half.
                axes.set_ylim(0, 1.08 * max(map(max, panel.lines.values())))
            axes.minorticks_off()
            axes.set_xticks(panel.at, [short(each) for each in panel.at])
            axes.set_title(panel.title, loc="left", fontsize=10)
            axes.set_xlabel(panel.xlabel)
            if len(panel.lines) > 1:
                axes.legend(frameon=False, fontsize=8)
        for axes in list(all_axes.flat)[len(self.panels) :]:
            axes.set_visible(False)
        title(figure, self.title)
        save(figure, path)


Plot = Bars | Panels


def short(value: float) -> str:
    """``2500`` as ``2.5k``. It is as short as a power of ten below an axis, and exact."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"
