"""The page of the outcomes of a send, made from the table in `mailer.delivery.outcome`."""

from __future__ import annotations

from mailer.delivery.outcome import Kind
from ops.docs.text import table

_HEAD = """# Outcomes

<!-- written by `python -m ops.docs` -->

Each call to SES ends in one of these outcomes. "Head of its lane" means that the message waits in front of all others
of its lane, and is sent as soon as it may be. An *attempt* is what a failure uses up; a message that only waits keeps
its attempts. [Errors and retries](../send/errors.md) says what follows from this for a sender.
"""


def page() -> str:
    head = ["outcome", "whose fault", "when", "what happens to the message", "attempts spent"]
    rows = [
        [
            kind.word.replace("_", " "),
            kind.value.fault,
            kind.value.when,
            kind.value.then,
            "one" if kind.value.spends_attempt else "none",
        ]
        for kind in Kind
    ]
    return f"{_HEAD}\n{table(head, rows)}\n"
