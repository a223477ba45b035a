"""A Rich console for text from others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from mailer.cli.printed import plain

_WIDE_ENOUGH = 400


class PlainConsole(Console):
    """Prints brackets as they are. Terminal control sequences in the text have no effect; our own colours do."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(plain(segment.text), segment.style)


def fitting_console() -> PlainConsole:
    """A console for tables. A file or a pipe has no width: nothing is cut off for it."""
    console = PlainConsole()
    return console if console.is_terminal else PlainConsole(width=max(console.width, _WIDE_ENOUGH))
