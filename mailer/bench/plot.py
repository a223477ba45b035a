"""A run as a picture. The suffix of the file selects SVG or PNG."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from mailer.bench.run import Result
from mailer.errors import SettingsError
from mailer.testbed.chart import pyplot, save, title

SUFFIXES = (".svg", ".png")


def check(path: Path) -> None:
    """Raise SettingsError before the measurement if the picture could not be drawn after it."""
    if path.suffix.lower() not in SUFFIXES:
        raise SettingsError(f"--plot {path}: name a file that ends in {' or '.join(SUFFIXES)}")
    if not path.absolute().parent.is_dir():
        raise SettingsError(f"--plot {path}: there is no such folder. Make it first")
    if find_spec("matplotlib") is None:
        raise SettingsError("--plot needs matplotlib: install mailer[plot]")


def draw(path: Path, result: Result) -> None:
    """Draw the mails per second and the round trips of each stage."""
    names = [f"{stage.processes} × {stage.threads}" for stage in result.stages]
    figure, (upper, lower) = pyplot().subplots(2, 1, figsize=(8, 5.6), sharex=True, layout="constrained")
    bars = upper.bar(names, [stage.per_second for stage in result.stages], color="#4c78a8")
    upper.bar_label(bars, fmt="{:,.0f}", padding=2)
    upper.set_ylabel("mails per second")
    upper.margins(y=0.15)
    for label, style, values in (
        ("half within", "o-", [1000 * stage.round_trips.half for stage in result.stages]),
        ("99 % within", "o--", [1000 * stage.round_trips.ninety_nine for stage in result.stages]),
    ):
        lower.plot(names, values, style, color="#e45756", label=label)
    lower.set_ylabel("round trip, ms")
    lower.set_ylim(bottom=0)
    lower.set_xlabel("processes × threads")
    lower.legend(frameon=False)
    title(figure, result.place)
    save(figure, path)
