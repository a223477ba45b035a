"""The progress of what takes long. It is shown in a terminal only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_PATIENCE_SECONDS = 1.0


def progress_bar(*columns: ProgressColumn, transient: bool = True) -> Progress:
    """A bar with ``columns`` between it and the time that remains."""
    console = Console(stderr=True)
    parts = (TextColumn("{task.description}"), BarColumn(), *columns, TimeRemainingColumn())
    return Progress(*parts, console=console, disable=not console.is_terminal, transient=transient)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int], None]]:
    """Yield a function to call with the number of further items searched. A terminal shows the sum after a second."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}: {task.completed:,.0f} looked at"), TimeElapsedColumn())
    progress = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
    task = progress.add_task(what, total=None)
    since = time.monotonic()

    def advance(count: int) -> None:
        progress.advance(task, count)
        if not progress.live.is_started and time.monotonic() - since > _PATIENCE_SECONDS:
            progress.start()

    try:
        yield advance
    finally:
        progress.stop()
