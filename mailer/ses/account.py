"""The account as SES reports it: limits, usage, and whether it may send."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from mailer.errors import Misdated, SendError
from mailer.ses.access import FOR_QUESTIONS, ClientConfig, open_client, refusal
from mailer.ses.clock import moment_of
from mailer.ses.errors import credentials_error, raised_as

if TYPE_CHECKING:
    from mailer.ses.credentials import CredentialSource

NO_RATE_REMEDY = (
    "Check AWS_REGION, and see the account's page in the SES console of that Region: finish its set-up there, or "
    "answer AWS's case. Sending goes on by itself within a minute of SES allowing more"
)


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """SES's answer to GetAccount. Rates and quotas count recipients."""

    max_send_rate: float
    """Recipients per second."""
    max_24_hour_send: float | None
    """Recipients in any 24 hours; None if unlimited."""
    sent_last_24_hours: float
    sending_enabled: bool
    """False while the account is paused, by its owner or by SES."""
    production_access: bool
    """False in the sandbox: only verified recipients, 200 a day."""
    enforcement_status: str
    """``HEALTHY``, ``PROBATION`` or ``SHUTDOWN``."""
    ahead: float | None = None
    """Seconds that AWS's clock is ahead of this host's, accurate to about a second. None if the response had no date.
    """

    @property
    def no_rate(self) -> str:
        """A sentence for people if SES allows a rate of 0, else an empty string."""
        if self.max_send_rate > 0:
            return ""
        return f"SES allows this account 0 recipients a second (its standing is {self.enforcement_status})"


def read_account(config: ClientConfig = FOR_QUESTIONS, credentials: CredentialSource | None = None) -> AccountLimits:
    """Ask SES once (API v2 GetAccount), through a new boto3 client. Takes about 0.1 s of processor time.

    SES answers about one such call per second and account: share the result. Without ``credentials`` they are looked
    up. Raises a `SendError`. `OutcomeUnknown` only means that no answer came: asking again is harmless.
    """
    with raised_as(credentials_error):
        client = open_client(config, credentials.session() if credentials else None)
    with closing(client):
        try:
            try:
                return _ask(client)
            except Misdated:
                return _ask(client)
        except SendError as error:
            if credentials is not None:
                credentials.learn(error)
            raise


def _ask(client: Any) -> AccountLimits:
    with raised_as(partial(refusal, operation="GetAccount")):
        return _limits(client.get_account(), time.time())


def _limits(answer: dict[str, Any], now: float) -> AccountLimits:
    theirs = moment_of(answer["ResponseMetadata"]["HTTPHeaders"].get("date"))
    quota = answer["SendQuota"]
    most = float(quota["Max24HourSend"])
    return AccountLimits(
        max_send_rate=float(quota["MaxSendRate"]),
        max_24_hour_send=None if most < 0 else most,  # SES reports -1 for unlimited
        sent_last_24_hours=float(quota["SentLast24Hours"]),
        sending_enabled=bool(answer["SendingEnabled"]),
        production_access=bool(answer["ProductionAccessEnabled"]),
        enforcement_status=str(answer["EnforcementStatus"]),
        ahead=None if theirs is None else theirs - now,
    )
