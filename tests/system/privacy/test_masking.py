"""What a worker writes into its log."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable

import pytest

from mailer.worker.masking import MaskAddresses


def written(log: Callable[[logging.Logger], None]) -> str:
    handler = logging.StreamHandler(io.StringIO())
    handler.addFilter(MaskAddresses())
    logger = logging.getLogger("mailer.test-masking")
    logger.addHandler(handler)
    try:
        log(logger)
    finally:
        logger.removeHandler(handler)
    found: str = handler.stream.getvalue()
    return found


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("jane%40example.com", "j***@example.com"),
        ("http://user:secret@proxy:3128", "http://***@proxy:3128"),
        ("redis://:secret@redis.internal/0", "redis://***@redis.internal/0"),
    ],
)
def test_a_line_shows_neither_address_nor_login(said: str, shown: str) -> None:
    assert written(lambda logger: logger.error("of %s, refused", said)) == f"of {shown}, refused\n"


def test_where_a_line_comes_from_shows_none_either() -> None:
    address = "jane@example"
    said = written(lambda logger: logger.error("x", stack_info=True))  # this line is shown: jane@example.com
    assert address not in said
    assert "this line is shown: j***@example.com" in said


def test_a_traceback_shows_no_address() -> None:
    def say(logger: logging.Logger) -> None:
        try:
            int("jane@example.com")
        except ValueError:
            logger.exception("broke off")

    said = written(say)
    assert "***@example.com" in said.splitlines()[-1]
    assert "jane" not in said


def refuse(words: str) -> None:
    raise ValueError(words)


def test_nothing_of_what_a_message_says_is_obeyed_by_a_terminal_or_begins_a_line() -> None:
    forged = "x\x1b]52;c;cm0gLXJm\x07\x9b2J\r\n[2030-01-31 09:00:00: CRITICAL] lost\u2028"
    said = written(lambda logger: logger.error("There is no task %s here", forged))
    assert said == (
        "There is no task x\\x1b]52;c;cm0gLXJm\\x07\\x9b2J\\r\\n[2030-01-31 09:00:00: CRITICAL] lost\\u2028 here\n"
    )

    def say(logger: logging.Logger) -> None:
        try:
            refuse(forged)
        except ValueError:
            logger.exception("broke off")

    assert [each for each in written(say) if not each.isprintable() and each != "\n"] == []
