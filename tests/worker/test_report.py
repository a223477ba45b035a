"""The line in which an outcome travels from a pool to the worker's main process."""

from __future__ import annotations

import pytest
from celery.utils.saferepr import saferepr

from mailer.delivery import Kind, Outcome
from mailer.worker import report


@pytest.mark.parametrize("words", ["plain", "'" * 900, "\"'" * 900, "\\" * 900, "\0\x1b\u2028" * 900, "日本" * 900, ""])
def test_whatever_ses_says_the_outcome_arrives(words: str) -> None:
    line = report.write(Outcome(Kind.UNKNOWN, None, "Code", words))
    found = report.read(saferepr(line))
    assert isinstance(found, Outcome)
    assert (found.kind, found.code) == (Kind.UNKNOWN, "Code")
    assert len(found.detail) <= 1000
