"""The one line a task returns: read by people in Flower, and by the worker's main process to settle the message.

Celery hands a pool's return values to the main process as text (their `saferepr`), from a forked child as from a
thread, so text is what the outcome travels as: ``sent 0100018c...``, ``rejected MessageRejected: Email address is not
verified``.
"""

from __future__ import annotations

from mailer.delivery import Kind, Outcome

_LONGEST = 600  # characters of SES's words; saferepr cuts at 1,024


def write(outcome: Outcome) -> str:
    """The line for an outcome."""
    if outcome.kind is Kind.SENT:
        return f"sent {outcome.ses_id}"
    return f"{outcome.kind} {outcome.code}: {' '.join(outcome.detail.split())}"[:_LONGEST]


def read(line: str) -> Outcome:
    """The outcome of a line as Celery passes it on. Raises ValueError for a line that is none."""
    if line[:1] in ("'", '"') and line[-1:] == line[:1]:
        line = line[1:-1].replace("\\'", "'")
    kind, _, rest = line.partition(" ")
    if kind == Kind.SENT:
        return Outcome(Kind.SENT, rest)
    code, _, detail = rest.partition(": ")
    return Outcome(Kind(kind), None, code, detail)
