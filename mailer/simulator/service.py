"""SES itself, behind every door. Takes a submission and returns a MessageId, or refuses."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Protocol, TypeVar

from mailer.simulator.account import Accounts
from mailer.simulator.attempt import Attempt
from mailer.simulator.clock import Clock
from mailer.simulator.errors import Refused, SesError
from mailer.simulator.events.publisher import Publisher
from mailer.simulator.events.sqs import Sqs
from mailer.simulator.events.subscriptions import Subscriptions
from mailer.simulator.faults import Faults
from mailer.simulator.inbox import Inbox, Submission
from mailer.simulator.reputation import Reputation
from mailer.simulator.resends import Resends
from mailer.simulator.terms import Terms
from mailer.simulator.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mailer.simulator.fault import Operation, Transport
    from mailer.simulator.options import Options

T = TypeVar("T")

MAX_RECIPIENTS = 50
MAX_MESSAGE_BYTES = 40 * 1024 * 1024
"""The limit of v2 and SMTP, after base64."""

_EVENTS_PER_MESSAGE = 4
_REGION_DIGITS = {"us-east-1": "0100", "us-west-2": "0101", "eu-west-1": "0102", "eu-central-1": "0107"}


class SlowReader(Protocol):
    """A connection's protocol that reads a request slowly."""

    def give_up(self) -> None:
        """Stop reading the request, and close the connection."""


class Service:
    """State that the HTTP API, SMTP and the control API share. One event loop, so no locks."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.clock = Clock()
        self.random = Random(options.seed)
        self.accounts = Accounts(Terms.part_of(options), self.clock, dict.fromkeys(options.configuration_set))
        self.inbox = Inbox(options.keep, options.keep_bytes, options.keep_rows, options.row_tag)
        self.secrets = dict(options.secret)
        """Access key ids and their secrets. If there are any, only they open the account."""
        self.latency = options.latency
        reputation = Reputation(self.accounts)
        events_kept = _EVENTS_PER_MESSAGE * max(1, options.keep)
        self.events = Publisher(
            self.clock,
            self.inbox,
            self.random,
            options.outcomes,
            events_kept,
            suppressed=reputation.suppressed,
            learn=reputation.learn,
        )
        self.sqs = Sqs(self.clock, self.random, events_kept)
        self.subscriptions = Subscriptions(
            (*options.webhook, *options.queue),
            self.events,
            self.sqs,
            self.clock,
            self.random,
            region=options.region,
            keep=events_kept,
            allowed=options.allow_webhook,
        )
        self.resends = Resends(options.keep)
        self.faults = Faults((*options.fault, *options.faults), self.random)
        self.injected = Traffic()
        """Sends that an injected error refused. They count for no account."""
        self.started_at = time.time()
        self.connections_open: Counter[str] = Counter()
        self.slow_readers: set[SlowReader] = set()
        """Connections on which a request is being read slowly."""
        self.clear_counts()

    def clear_counts(self) -> None:
        self.requests: Counter[str] = Counter()
        """Counts calls by operation name."""
        self.refused: Counter[str] = Counter()
        """Counts SES errors in answers by kind, over all doors and Regions. Includes injected errors."""
        self.connections_opened: Counter[str] = Counter()
        self.faults.struck.clear()
        self.resends.clear()
        self.injected.clear()
        for account in self.accounts:
            account.traffic.clear()

    def set_secrets(self, secrets: Mapping[str, str]) -> None:
        """Accept only these secrets from now on. All others are revoked."""
        self.secrets.clear()
        self.secrets.update(secrets)

    def reset(self) -> None:
        """Return to the state at the start, including the clock. Connections stay open.

        Only slow reads under a fault end, with their connections. A half-read request would join the later mail.
        """
        for reader in list(self.slow_readers):
            reader.give_up()
        self.inbox.clear()
        self.events.reset()
        self.accounts.reset()
        self.clock.reset()
        self.subscriptions.reset()  # after the clock, which dates an announcement and makes it visible
        self.faults.replace((*self.options.fault, *self.options.faults))
        self.latency = self.options.latency
        self.set_secrets(self.options.secret)
        self.clear_counts()

    def attempt(
        self,
        operation: Operation,
        transport: Transport,
        region: str,
        accept: Callable[[], T],
        *,
        recipients: Sequence[str] = (),
        access_key: str = "",
    ) -> Attempt[T]:
        """Do the work of one call by ``accept``, which may raise ``Refused``, under the faults in force.

        A fault may strike before the work, which then is not done, or after it. If SES itself refuses the call, a fault
        that would have come after the work is saved for the next one.
        """
        strike = self.faults.strike(operation, transport, recipients, access_key)
        fault, taken, error = strike.before, None, None
        if fault is None:
            try:
                taken = accept()
            except Refused as refused:
                self.faults.take_back(strike)
                error = self.refuse(refused.error)
            else:
                fault = strike.after
        if fault is not None and fault.kind == "error":
            error, fault = self.refuse(fault.answer(region, self.clock.wall())), None
            if operation == "send":
                self.injected.refuse(self.clock.now(), "injected", len(recipients))
        return Attempt(taken, error, fault, strike.delay)

    def refuse(self, error: SesError) -> SesError:
        """Count an error that goes out in an answer."""
        self.refused[error.kind] += 1
        return error

    def submit(self, submission: Submission) -> str:
        """Charge, record and name the message. Raises ``Refused`` if the account may not send it."""
        account = self.accounts.in_region(submission.region)
        at = account.admit(submission.sender, submission.recipients, submission.configuration_set)
        ses_id = self._new_id(submission.region, at)
        message = self.inbox.add(at, ses_id, submission)
        failure = submission.rendering_failure
        if failure is None:
            self.events.accepted(message)
        else:
            self.events.rendering_failed(message, failure.template, failure.text)
        return ses_id

    def pause(self) -> float:
        """The latency of this request's answer, in seconds."""
        return self.latency.sample(self.random)

    def new_request_id(self) -> str:
        noise = f"{self.random.getrandbits(128):032x}"
        return f"{noise[:8]}-{noise[8:12]}-{noise[12:16]}-{noise[16:20]}-{noise[20:]}"

    def _new_id(self, region: str, at: float) -> str:
        """Four digits for the Region, the time in milliseconds, then noise, as in SES's own ids."""
        digits = _REGION_DIGITS.get(region)
        if digits is None:
            digits = "01" + hashlib.sha256(region.encode()).hexdigest()[:2]
            _REGION_DIGITS[region] = digits
        noise = f"{self.random.getrandbits(128):032x}"
        return (
            f"{digits}{int(at * 1000):012x}-{noise[:8]}-{noise[8:12]}-{noise[12:16]}-{noise[16:20]}-{noise[20:]}-000000"
        )
