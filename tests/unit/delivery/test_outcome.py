from __future__ import annotations

import pytest

from mailer.delivery.outcome import Kind, Outcome, deliver
from mailer.errors import SendError
from mailer.mail.address import parse
from mailer.mail.content import Structured
from mailer.mail.message import Message
from mailer.ses.transport import Transport

MESSAGE = Message("m-1", parse("b@example.com"), Structured(sender="a@example.com", subject="s", text="t"))


class OneAnswer(Transport):
    """A transport that answers every send alike."""

    def __init__(self, answer: str | BaseException) -> None:
        super().__init__()
        self._answer = answer

    def _send(self, message: Message) -> str:
        assert message is MESSAGE
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer

    def _prepare(self, connections: int) -> None: ...

    def _set_up(self) -> None: ...


def test_a_send_that_succeeds_is_sent_with_its_id() -> None:
    assert deliver(MESSAGE, OneAnswer("0100-x")) == Outcome(Kind.SENT, ses_id="0100-x")


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.SENT])
def test_each_error_has_its_outcome_with_sess_own_words(kind: Kind) -> None:
    error = kind.value.error
    assert error is not None

    outcome = deliver(MESSAGE, OneAnswer(error("Code", "words")))

    assert outcome == Outcome(kind, None, "Code", "words")


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
