from __future__ import annotations

from types import TracebackType
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.delivery import Kind, Outcome, backoff, deliver
from mailer.errors import (
    AccountStopped,
    Denied,
    HostUnfit,
    Misdated,
    OutcomeUnknown,
    QuotaExceeded,
    RateExceeded,
    Rejected,
    SendError,
    TooLate,
    Unavailable,
    Unreachable,
)
from mailer.message import Message
from mailer.ses.transport import Transport

MESSAGE = Message(id="m-1", sender="a@example.com", to="b@example.com", subject="s", text="t")


class OneAnswer:
    """A transport that answers every send alike."""

    def __init__(self, answer: str | BaseException) -> None:
        self._answer = answer

    def send(self, message: Message) -> str:
        assert message is MESSAGE
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer

    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def test_a_send_that_succeeds_is_sent_with_its_id() -> None:
    transport: Transport = OneAnswer("0100-x")

    assert deliver(MESSAGE, transport) == Outcome(Kind.SENT, ses_id="0100-x")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RateExceeded, "throttled"),
        (QuotaExceeded, "over_quota"),
        (AccountStopped, "paused"),
        (HostUnfit, "unfit"),
        (Unreachable, "unreachable"),
        (Misdated, "misdated"),
        (Denied, "denied"),
        (TooLate, "late"),
        (Unavailable, "failed"),
        (Rejected, "rejected"),
        (OutcomeUnknown, "unknown"),
    ],
)
def test_each_error_has_its_outcome_with_sess_own_words(error: type[SendError], kind: str) -> None:
    outcome = deliver(MESSAGE, OneAnswer(error("Code", "words")))

    assert outcome == Outcome(Kind(kind), None, "Code", "words")


def test_every_send_error_there_is_has_a_row_above() -> None:
    assert {error.__name__ for error in SendError.__subclasses__()} == {
        "RateExceeded",
        "QuotaExceeded",
        "AccountStopped",
        "HostUnfit",
        "Unreachable",
        "Misdated",
        "Denied",
        "TooLate",
        "Unavailable",
        "Rejected",
        "OutcomeUnknown",
    }


@pytest.mark.parametrize("error", [RuntimeError("boom"), SendError("Code", "boom"), OSError("boom")])
def test_a_surprise_in_the_middle_of_a_send_is_unknown_and_never_raised(error: Exception) -> None:
    outcome = deliver(MESSAGE, OneAnswer(error))

    assert outcome.kind is Kind.UNKNOWN
    assert "boom" in outcome.detail
    assert outcome.code == ("Code" if isinstance(error, SendError) else type(error).__name__)


def test_the_end_of_the_process_is_not_an_outcome() -> None:
    with pytest.raises(KeyboardInterrupt):
        deliver(MESSAGE, OneAnswer(KeyboardInterrupt()))


@given(
    attempt=st.integers(1, 10_000),
    base=st.floats(0.1, 100),
    cap=st.floats(0.1, 10_000),
    draw=st.floats(0, 1, exclude_max=True),
)
def test_a_backoff_is_a_part_of_the_doubling_wait_and_never_above_the_cap(
    attempt: int, base: float, cap: float, draw: float
) -> None:
    seconds = backoff(attempt, base=base, cap=cap, random=lambda: draw)

    assert 0 <= seconds <= cap
    if attempt < 20:
        assert seconds == pytest.approx(draw * min(cap, base * 2 ** (attempt - 1)))


def test_backoffs_spread_over_the_whole_wait() -> None:
    waits = [backoff(3, base=1, cap=100) for _ in range(500)]

    assert min(waits) < 0.4
    assert 3.6 < max(waits) < 4
