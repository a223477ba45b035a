"""The part that both HTTP APIs share: calls meet the faults, and each API writes refusals in its own form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from mailer.simulator.errors import Refused
from mailer.simulator.exchange import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailer.simulator.account import Account
    from mailer.simulator.errors import SesError
    from mailer.simulator.exchange import Request
    from mailer.simulator.faults import Strike
    from mailer.simulator.service import Service

Answering: TypeAlias = "Callable[[Request, Account], Reply]"
"""May raise ``Refused``."""


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

    def refusal(self, error: SesError) -> Reply:
        self.service.refused[error.kind] += 1
        return self.error(error)

    def under(self, strike: Strike, answer: Callable[[], Reply]) -> Reply:
        """The reply of ``answer``, unless a fault comes before it or spoils it afterwards."""
        fault = strike.before
        taken = False
        reply = Reply(200, b"{}")
        if fault is None:
            try:
                reply = answer()
                taken = True
                fault = strike.after
            except Refused as refused:
                self.service.faults.take_back(strike)
                reply = self.refusal(refused.error)
        if fault is not None:
            reply = (
                self.refusal(fault.answer)
                if fault.kind == "error"
                else reply.ending_as(fault.kind, fault.bytes_per_second)
            )
            reply = replace(reply, taken=taken)
        return replace(reply, delay=strike.delay) if strike.delay else reply
