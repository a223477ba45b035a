"""What a task reports: the worker's main process settles the message by it, and people read it as one line.

Our own pool hands the outcome over as it is. Celery's other pools hand over the ``repr`` of what a task returns, from a
forked child as from a thread: there it is JSON, so that SES's words arrive as SES wrote them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from mailer.delivery.outcome import Kind, Outcome

LONGEST_REPR = 30_000
"""Characters of a `Report`'s repr, at most: Celery cuts off what is longer than it is told."""
_LONGEST_WORDS = 1000  # characters of SES's words, each of which may be 12 of the repr's
_LONGEST_LINE = 600


@dataclass(frozen=True, slots=True)
class Report:
    """What the task returns to a pool of Celery's."""

    outcome: Outcome

    def __repr__(self) -> str:
        told = self.outcome
        return json.dumps([told.kind.name, told.ses_id, told.code[:_LONGEST_WORDS], told.detail[:_LONGEST_WORDS]])


def read(told: Outcome | Exception | str) -> Outcome:
    """The outcome, as it is or from the repr of a `Report`. Raises ValueError for text that is none, and the defect
    that our own pool had in place of an outcome."""
    if isinstance(told, Outcome):
        return told
    if isinstance(told, Exception):
        raise told
    kind, ses_id, code, detail = json.loads(told)
    return Outcome(Kind[kind], ses_id, code, detail)


def line(outcome: Outcome) -> str:
    """The outcome for people: ``sent 0100018c...``, or ``rejected MessageRejected: Email address is not verified``. It
    may quote addresses."""
    if outcome.kind is Kind.SENT:
        return f"sent {outcome.ses_id}"
    return f"{outcome.kind.word} {outcome.code}: {' '.join(outcome.detail.split())}"[:_LONGEST_LINE]
