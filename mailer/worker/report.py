"""A task's report. The worker's main process settles the message by it, and people read it as one line.

Our own pool passes on the outcome object. Celery's pools, forked or threaded, pass on the ``repr`` of the task's
result. That ``repr`` is JSON, so that SES's words arrive unchanged.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from mailer.delivery.outcome import Kind, Outcome

LONGEST_REPR = 30_000
"""The most characters of a `Report`'s repr. Celery cuts off longer ones."""
_LONGEST_WORDS = 1000  # characters of SES's words; each may take 12 characters in the repr
_LONGEST_LINE = 600


@dataclass(frozen=True, slots=True)
class Report:
    """The task's result for Celery's pools."""

    outcome: Outcome

    def __repr__(self) -> str:
        told = self.outcome
        return json.dumps([told.kind.name, told.ses_id, told.code[:_LONGEST_WORDS], told.detail[:_LONGEST_WORDS]])


def read(told: Outcome | Exception | str) -> Outcome:
    """Return an outcome unchanged, read the repr of a `Report`, or raise the exception that our own pool passes on in
    place of an outcome. Raises ValueError for other text."""
    if isinstance(told, Outcome):
        return told
    if isinstance(told, Exception):
        raise told
    kind, ses_id, code, detail = json.loads(told)
    return Outcome(Kind[kind], ses_id, code, detail)


def line(outcome: Outcome) -> str:
    """The outcome for people: ``sent 0100018c...``, or ``rejected MessageRejected: Email address is not verified``. The
    line may quote addresses."""
    if outcome.kind is Kind.SENT:
        return f"sent {outcome.ses_id}"
    return f"{outcome.kind.word} {outcome.code}: {' '.join(outcome.detail.split())}"[:_LONGEST_LINE]
