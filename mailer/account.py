"""An account: one SES account in one Region. All its hosts share its name, keys and limits."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field, field_validator

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


class Account(BaseModel):
    """The settings of one SES account. `mailer.settings.Settings` is a subclass."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    key_prefix: str = "mailer:"
    """The prefix of every key in Redis, so that several installations can share a server. All keys of an account start
    with ``mailer:{default}``. Lanes continue with ``:`` and all else with ``@``: no queue's name spells another key."""
    account: str = "default"
    """The name of the SES account (one account in one Region). All workers with this name share its limits. Several
    accounts can share one Redis under different names."""
    aws_region: str | None = None
    """The account's Region. Unset: the Region of the AWS environment or profile."""
    aws_profile: str | None = None
    """The profile in AWS's files with the account's credentials. It may also name its ``region`` and ``endpoint_url``.
    Unset: whatever AWS's tools would use."""

    rate_per_second: float | None = Field(default=None, gt=0)
    """The account's send rate in recipients per second. Unset: SES GetAccount gives it each minute. Where hosts differ,
    or SES allows less, the lowest holds for all hosts at once, and ``mailer status`` names the hosts. The setting of a
    worker that has ended counts no more (if it was killed: after five minutes). ``mailer rate`` replaces it at run
    time."""
    quota_per_day: int | None = Field(default=None, ge=-1)
    """The account's quota in recipients per rolling 24 hours, -1 for no quota. Unset: SES GetAccount gives it
    each minute. The lowest holds, as for the rate."""
    rate_headroom: float = Field(default=0.0, ge=0, lt=1)
    """The fraction of the account's rate that is left to others."""
    burst: float | None = Field(default=None, ge=1)
    """The recipients by which any one second may exceed the rate, as SES counts. Half of them are handed out at once
    after an idle moment. The other half covers permits that a worker uses late. Unset: 2, or a tenth of the rate if
    that is more."""
    quota_reserve: float = Field(default=0.05, ge=0, lt=1)
    """The fraction of the 24-hour quota that only the most urgent lane may use."""

    @field_validator("account")
    @classmethod
    def _check_account(cls, account: str) -> str:
        if not _NAME.fullmatch(account):
            raise ValueError(f"account {account!r}: use letters, digits, '-', '_' and '.', at most 63")
        return account

    @field_validator("key_prefix")
    @classmethod
    def _check_key_prefix(cls, prefix: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9:_.-]{0,63}", prefix):
            raise ValueError("use letters, digits and ':_.-', at most 63")
        return prefix


DEFAULT = Account()
"""The account that AWS's tools would use."""
