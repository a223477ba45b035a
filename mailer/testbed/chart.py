"""Pictures of figures, drawn without a screen. The same figures make the same file."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def pyplot(font_size: int = 10) -> Any:
    """matplotlib's pyplot. Its import takes a second."""
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    # Text stays text, and ids and dates do not change.
    mpl.rcParams.update(
        {
            "svg.hashsalt": "mailer",
            "svg.fonttype": "none",
            "font.size": font_size,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )
    from matplotlib import pyplot as plt  # noqa: PLC0415

    return plt


def title(figure: Any, text: str, size: int = 11) -> None:
    """A title at the left of the whole picture."""
    figure.suptitle(text, x=0.01, ha="left", fontsize=size, fontweight="bold")


def save(figure: Any, *paths: Path) -> None:
    """Write the picture into each file, SVG or PNG by its suffix, and forget it."""
    for path in paths:
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
    pyplot().close(figure)
