"""An SES account in one Region: its limits and its sends. Also the registry of this process's Regions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mailer.simulator import errors
from mailer.simulator.address import is_mailbox_simulator
from mailer.simulator.limits import RollingWindow, TokenBucket
from mailer.simulator.resources import Resources
from mailer.simulator.resources.configuration_set import ConfigurationSet
from mailer.simulator.send_statistics import SendStatistics
from mailer.simulator.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mailer.simulator.clock import Clock
    from mailer.simulator.terms import Terms

_REGION = re.compile(r"[A-Za-z0-9-]{1,40}")
_MOST_REGIONS = 100
# Calls per second, as multiples of ``Terms.control_rate``. Every other call of the control plane has the factor 1.
_CONTROL_RATES = {"GetEmailTemplate": 50.0}


class Account:
    """One Region's account. The API and SMTP share it."""

    def __init__(self, region: str, terms: Terms, clock: Clock) -> None:
        self.region = region
        self.traffic = Traffic()
        self.resources = Resources()
        self.statistics = SendStatistics()
        self._clock = clock
        self._terms = terms
        self._bucket = TokenBucket(terms.rate, terms.capacity, clock.now())
        self._control: dict[str, TokenBucket] = {}
        self._window = RollingWindow()

    @property
    def terms(self) -> Terms:
        return self._terms

    def now(self) -> float:
        """The account's time, in epoch seconds."""
        return self._clock.now()

    def change(self, terms: Terms) -> None:
        """New terms from this moment on. Tokens and the 24-hour window carry over."""
        now = self._clock.now()
        self._bucket.reshape(terms.rate, terms.capacity, now)
        for operation, bucket in self._control.items():
            bucket.reshape(_control_rate(operation, terms), 1.0, now)
        self._terms = terms

    def set_sending(self, *, enabled: bool) -> None:
        """Switch sending, as the account's owner may. An account that AWS has shut down stays shut down."""
        self._terms = self._terms.changed({"sending_enabled": enabled})

    def refusal_of_sending(self, configuration_set: str | None) -> errors.SesError | None:
        """Why the account sends nothing at all, or nothing with this configuration set. None if it may send."""
        if self._terms.enforcement == "SHUTDOWN":
            return errors.SUSPENDED
        if not self._terms.sending_enabled:
            return errors.PAUSED
        return None if configuration_set is None else self.resources.configuration_sets.refusal(configuration_set)

    def set_used(self, recipients: int) -> None:
        """Make the window hold ``recipients``, all sent now."""
        self._window.clear()
        self._window.add(self._clock.now(), recipients)

    def refill(self) -> None:
        """A full bucket and an empty window, as if nothing was ever sent."""
        now = self._clock.now()
        self._bucket = TokenBucket(self._terms.rate, self._terms.capacity, now)
        self._control.clear()
        self._window.clear()

    def sent_last_24_hours(self) -> int:
        return self._window.total(self._clock.now())

    def tokens(self) -> float:
        return self._bucket.tokens(self._clock.now())

    def admit(self, sender: str, recipients: Sequence[str], configuration_set: str | None = None) -> float:
        """Charge a message with these recipients and return the moment (epoch seconds), or raise ``Refused``.

        A refusal charges nothing. With any quota left a whole message passes, as AWS documents for sending limits.
        Recipients at the mailbox simulator count for the rate and not for the quota.
        """
        now = self._clock.now()
        charged = sum(not is_mailbox_simulator(recipient) for recipient in recipients)
        error = self._refusal(now, sender, recipients, charged, configuration_set)
        if error is not None:
            self.traffic.refuse(now, error.kind, len(recipients))
            raise errors.Refused(error)
        self._bucket.spend(len(recipients))
        self._window.add(now, charged)
        self.traffic.accept(now, len(recipients))
        self.statistics.at(now).attempts += len(recipients)
        return now

    def _refusal(
        self, now: float, sender: str, recipients: Sequence[str], charged: int, configuration_set: str | None
    ) -> errors.SesError | None:
        terms = self._terms
        error = self.refusal_of_sending(configuration_set)
        if error is not None:
            return error
        unverified = self._unverified(sender, recipients) if terms.sandbox or terms.verified is not None else ()
        if unverified:
            text = (
                "Email address is not verified. The following identities failed the check in region "
                f"{self.region.upper()}: {', '.join(unverified)}"
            )
            return errors.REJECTED.saying(text)
        if charged and terms.quota >= 0 and self._window.total(now) >= terms.quota:
            return errors.QUOTA
        if not self._bucket.admits(now):
            return errors.RATE
        return None

    def admit_control_call(self, operation: str) -> None:
        """Charge one control plane call (GetAccount ...), or raise ``Refused``. Each operation has its own limit."""
        if self._terms.control_rate == 0:
            return
        now = self._clock.now()
        bucket = self._control.get(operation)
        if bucket is None:
            bucket = self._control[operation] = TokenBucket(_control_rate(operation, self._terms), 1.0, now)
        if not bucket.admits(now):
            self.traffic.refused[errors.CONTROL_RATE.kind] += 1
            raise errors.Refused(errors.CONTROL_RATE)
        bucket.spend(1)

    def _unverified(self, sender: str, recipients: Sequence[str]) -> list[str]:
        failed = [] if self._terms.verified is None or self._is_verified(sender) else [sender]
        if self._terms.sandbox:
            failed += [
                recipient
                for recipient in recipients
                if not is_mailbox_simulator(recipient) and not self._is_verified(recipient)
            ]
        return failed

    def _is_verified(self, address: str) -> bool:
        """A verified domain covers its subdomains, as AWS documents. The case of a domain does not matter."""
        local, _, domain = address.rpartition("@")
        labels = domain.lower().split(".")
        names = [f"{local}@{domain.lower()}", *(".".join(labels[start:]) for start in range(len(labels)))]
        given, made = self._terms.verified or frozenset(), self.resources.identities
        return any(name in given or name in made for name in names)


def _control_rate(operation: str, terms: Terms) -> float:
    return terms.control_rate * _CONTROL_RATES.get(operation, 1.0)


class Accounts:
    """Every Region's account. ``in_region`` makes it at first use, with the initial terms and configuration sets."""

    def __init__(self, terms: Terms, clock: Clock, configuration_sets: Iterable[str] = ()) -> None:
        self._terms = terms
        self._clock = clock
        self._configuration_sets = configuration_sets
        self._by_region: dict[str, Account] = {}

    def __iter__(self) -> Iterator[Account]:
        return iter(self._by_region.values())

    def in_region(self, region: str) -> Account:
        account = self._by_region.get(region)
        if account is None:
            if not _REGION.fullmatch(region) or len(self._by_region) >= _MOST_REGIONS:
                raise errors.Refused(errors.BAD_REQUEST.saying(f"{region[:100]!a} is no Region, or one too many"))
            account = self._by_region[region] = Account(region, self._terms, self._clock)
            for name in self._configuration_sets:
                account.resources.configuration_sets.create(ConfigurationSet(name))
        return account

    def reset(self) -> None:
        """Back to the terms given at the start, in every Region."""
        self._by_region.clear()
