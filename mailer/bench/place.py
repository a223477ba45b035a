"""The destination of the benchmark: a simulator that it starts, or SES itself with addresses that nobody reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol, Self

from mailer.errors import SettingsError
from mailer.host.everything import simulated_aws
from mailer.ses.access import FOR_QUESTIONS, find_access
from mailer.ses.account import read_account
from mailer.settings import current
from mailer.simulator.client import SimulatorError
from mailer.testbed.process import cpu_seconds
from mailer.testbed.ses import UNLIMITED, simulated_ses

RECIPIENT = "success@simulator.amazonses.com"
DOLLARS_PER_THOUSAND = 0.10
"""SES's price for outgoing mail. Mail to its mailbox simulator costs the same."""

_HARMLESS = re.compile(r"success(\+[A-Za-z0-9._-]{1,40})?@simulator\.amazonses\.com")


class Place(Protocol):
    """The destination of the mails. A context manager."""

    name: str
    allowed: float | None
    """The allowed recipients per second. None if there is no limit."""
    sender: str
    recipient: str

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """``base``, with the variables that lead a worker to this place."""
        ...

    def cpu_seconds(self) -> float | None:
        """The processor time that it has used on this machine so far. None if it uses none."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Simulated:
    """A simulator that runs as long as the block. ``latency`` has the simulator's syntax: ``80ms``,
    ``lognormal:80ms/0.3``.
    """

    sender = "bench@example.com"
    recipient = RECIPIENT

    def __init__(self, latency: str, allowed: float | None = None) -> None:
        self.name = f"the SES simulator, answering after {latency}"
        self.allowed = allowed
        self._simulator = simulated_ses(allowed or UNLIMITED, latency=latency)

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        return simulated_aws(self._simulator.url, dict(base))

    def cpu_seconds(self) -> float | None:
        return cpu_seconds(self._simulator.pid)

    def __enter__(self) -> Self:
        try:
            self._simulator.start()
        except SimulatorError as error:
            raise SettingsError(
                "The simulator did not start: its own lines above say why. Write --latency as 80ms or "
                "lognormal:80ms/0.3, and install mailer[simulator]"
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._simulator.stop()


class Ses:
    """The account of the AWS environment. ``rate`` is the most to use of it, in recipients per second.

    Raises SettingsError for a recipient other than the mailbox simulator's ``success`` address, and a `SendError` if
    SES does not answer.
    """

    def __init__(self, sender: str, recipient: str = RECIPIENT, rate: float | None = None) -> None:
        if _HARMLESS.fullmatch(recipient) is None:
            raise SettingsError(
                f"--to {recipient}: a benchmark sends to SES's mailbox simulator only. Leave --to out, or write "
                "success+label@simulator.amazonses.com"
            )
        self.sender, self.recipient = sender, recipient
        way = replace(FOR_QUESTIONS, account=current())
        access = find_access(way)
        account = read_account(way)
        self.allowed: float | None = min(rate or account.max_send_rate, account.max_send_rate)
        self.name = f"SES in {access.region} ({access.place}), at most {self.allowed:g} per second"

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        return dict(base)

    def cpu_seconds(self) -> float | None:
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: nothing was started."""
