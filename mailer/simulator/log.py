"""The log, on standard error. What clients have sent stands there as it is written, and nothing in it acts."""

from __future__ import annotations

import logging


class _Plain(logging.Formatter):
    """One line for each message, however many it says it has, and nothing that a terminal obeys."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return plain(super().formatMessage(record))

    def formatException(self, ei: object) -> str:  # noqa: N802
        return "\n".join(map(plain, super().formatException(ei).split("\n")))  # type: ignore[arg-type]


def plain(text: str) -> str:
    """``text`` with everything escaped that is not printed as it is."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def begin() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Plain("%(message)s"))
    logging.basicConfig(handlers=[handler])
