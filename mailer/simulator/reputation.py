"""An account's own use of its events: it counts them, and suppresses addresses that it must not mail again."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from mailer.simulator.address import is_mailbox_simulator
from mailer.simulator.errors import Refused

if TYPE_CHECKING:
    from mailer.simulator.account import Accounts
    from mailer.simulator.events.event import Event
    from mailer.simulator.resources.suppression import Reason


class Reputation:
    """Listens to the events of every Region."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def suppressed(self, region: str, address: str) -> Reason | None:
        return self._accounts.in_region(region).resources.suppression.reason(address)

    def learn(self, event: Event) -> None:
        if event.kind not in {"Bounce", "Complaint", "Reject"}:
            return
        account = self._accounts.in_region(event.sending.region)
        point = account.statistics.at(account.now())
        if event.kind == "Reject":
            point.rejects += len(event.recipients)
        elif event.kind == "Complaint":
            point.complaints += len(event.recipients)
            if "complaintSubType" not in event.detail:
                self._suppress(event, "COMPLAINT")
        else:
            point.bounces += len(event.recipients)
            # Only a first-hand hard bounce: not a temporary one, and not one caused by suppression.
            if (event.detail["bounceType"], event.detail["bounceSubType"]) == ("Permanent", "General"):
                self._suppress(event, "BOUNCE")

    def _suppress(self, event: Event, reason: Reason) -> None:
        suppression = self._accounts.in_region(event.sending.region).resources.suppression
        if reason not in suppression.reasons:
            return
        for recipient in event.recipients:
            if not is_mailbox_simulator(recipient):
                with suppress(Refused):  # a full list
                    suppression.put(recipient, reason, event.at)
