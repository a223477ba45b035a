"""The log, on standard error. It shows clients' data escaped, so that none of it acts on the terminal."""

from __future__ import annotations

import logging


class Plain(logging.Formatter):
    """Writes one line per message, even if the message has line breaks, and no terminal control characters."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return plain(super().formatMessage(record))

    def formatException(self, ei: object) -> str:  # noqa: N802
        return "\n".join(map(plain, super().formatException(ei).split("\n")))  # type: ignore[arg-type]


def plain(text: str) -> str:
    """``text`` with every non-printable character escaped."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def begin() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(Plain("%(message)s"))
    logging.basicConfig(handlers=[handler])
