"""The one line a task returns: read by people in Flower, and by the worker's main process to settle the message.

Celery hands a pool's return values to the main process as text (their `saferepr`), from a forked child as from a
thread, so text is what the outcome travels as: ``sent 0100018c...``, ``rejected MessageRejected: Email address is not
verified``, or the word for a message that was not tried.
"""

from __future__ import annotations

from enum import StrEnum

from mailer.delivery import Kind, Outcome

_LONGEST = 600  # characters of SES's words; saferepr cuts at 1,024


class Unsent(StrEnum):
    """Why a message was not tried, though nothing is wrong with it."""

    LATE = "late"
    """Its permit had run out: back to the head of its lane, and the permit with it."""
    LEASE_ENDING = "dropped"
    """Another worker may be handed it before SES answers here: the same. If that has happened already, it is passed
    over."""


def write(outcome: Outcome | Unsent) -> str:
    """The line for an outcome."""
    if isinstance(outcome, Unsent):
        return str(outcome)
    if outcome.kind is Kind.SENT:
        return f"sent {outcome.ses_id}"
    return f"{outcome.kind} {outcome.code}: {' '.join(outcome.detail.split())}"[:_LONGEST]


def read(line: str) -> Outcome | Unsent:
    """The outcome of a line as Celery passes it on. Raises ValueError for a line that is none."""
    if line[:1] in ("'", '"') and line[-1:] == line[:1]:
        line = line[1:-1].replace("\\'", "'")
    kind, _, rest = line.partition(" ")
    if kind == Kind.SENT:
        return Outcome(Kind.SENT, rest)
    if not rest:
        return Unsent(kind)
    code, _, detail = rest.partition(": ")
    return Outcome(Kind(kind), None, code, detail)
