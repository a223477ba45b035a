"""What a task reports, on its way from a pool to the worker's main process."""

from __future__ import annotations

import pytest
from celery.utils.saferepr import saferepr

from mailer.delivery.outcome import Kind, Outcome
from mailer.worker import report
from mailer.worker.door import Door
from mailer.worker.report import Report

WORDS = [
    "Email address is not verified. The following identities failed the check: jane@example.com",
    "Address \\ blacklisted:\xa0José",
    "It said: \"no\", and 'no' again",
    "two\nlines\tand a tab",
    "",
]


@pytest.mark.parametrize("words", WORDS)
def test_ses_words_arrive_as_ses_wrote_them(words: str) -> None:
    outcome = Outcome(Kind.REJECTED, None, "MessageRejected", words)
    assert report.read(saferepr(Report(outcome), Door.resultrepr_maxsize)) == outcome


@pytest.mark.parametrize("words", ["'", "\"'", "\\", "\0\x1b\u2028", "日本", "😀"])
def test_however_much_ses_says_the_outcome_arrives_with_the_beginning_of_it(words: str) -> None:
    outcome = Outcome(Kind.UNKNOWN, None, "Code", words * 2000)
    found = report.read(saferepr(Report(outcome), Door.resultrepr_maxsize))
    assert isinstance(found, Outcome)
    assert (found.kind, found.code) == (Kind.UNKNOWN, "Code")
    assert found.detail == outcome.detail[:1000]


def test_what_was_sent_arrives() -> None:
    outcome = Outcome(Kind.SENT, "0100018c")
    assert report.read(saferepr(Report(outcome), Door.resultrepr_maxsize)) == outcome


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        (Outcome(Kind.SENT, "0100018c"), "sent 0100018c"),
        (Outcome(Kind.REJECTED, None, "MessageRejected", "Not\n verified"), "rejected MessageRejected: Not verified"),
    ],
)
def test_people_read_one_line(outcome: Outcome, line: str) -> None:
    assert report.line(outcome) == line
