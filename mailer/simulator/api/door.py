"""The part that both HTTP APIs share: each writes what became of a call in its own form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from mailer.simulator.exchange import Ending, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailer.simulator.account import Account
    from mailer.simulator.attempt import Attempt
    from mailer.simulator.errors import SesError
    from mailer.simulator.exchange import Request
    from mailer.simulator.inbox import Submission
    from mailer.simulator.service import Service

Answering: TypeAlias = "Callable[[Request, Account], Reply]"
"""May raise ``Refused``."""

_ENDINGS = {
    "reset": Ending.RESET,
    "close": Ending.CLOSE,
    "close-idle": Ending.ANSWER_AND_CLOSE,
    "silence": Ending.SILENCE,
    "malformed": Ending.GARBAGE,
    "slow-answer": Ending.TRICKLE,
}
"""How each fault of the wire ends an answer."""

_NOTHING = Reply(200, b"{}")
"""SES did no work, so there is no answer that a fault could spoil. Half of this at most gets out."""


class Door(ABC):
    """One API over one service."""

    def __init__(self, service: Service) -> None:
        self.service = service

    @abstractmethod
    def operation(self, request: Request) -> tuple[str, Answering]:
        """The name of the operation that ``request`` calls, and the function that answers it."""

    @abstractmethod
    def error(self, error: SesError) -> Reply:
        """``error`` in the form of this API."""

    def reply(self, attempt: Attempt[Reply]) -> Reply:
        """The answer to an attempt, as the faults leave it."""
        error, fault, answer = attempt.error, attempt.fault, attempt.taken
        reply = self.error(error) if error is not None else answer or _NOTHING
        if fault is not None:
            reply = replace(reply, ending=_ENDINGS[fault.kind], bytes_per_second=fault.bytes_per_second)
        if fault is None and error is None and not attempt.delay:
            return reply
        return replace(reply, delay=attempt.delay, taken=answer is not None)

    def send(self, request: Request, submission: Submission, write: Callable[[str], Reply]) -> Reply:
        """The answer to a send. ``write`` makes it of the MessageId."""
        attempt = self.service.attempt(
            "send",
            "http",
            submission.region,
            lambda: write(self.service.submit(submission)),
            recipients=submission.recipients,
            access_key=request.access_key,
        )
        return self.reply(attempt)

    def control(self, name: str, request: Request, account: Account, operation: Callable[[], Reply]) -> Reply:
        """The answer to a call that is no send."""

        def accept() -> Reply:
            account.admit_control_call(name)
            return operation()

        attempt = self.service.attempt("account", "http", account.region, accept, access_key=request.access_key)
        return self.reply(attempt)
