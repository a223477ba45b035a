"""An account: one SES account in one Region, whose name, keys and limits all its hosts share."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field, field_validator

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


class Account(BaseModel):
    """What a process knows of one SES account. `mailer.settings.Settings` is one; parts are handed it whole."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    key_prefix: str = "mailer:"
    """In front of every key in Redis, so that several installations can share one."""
    account: str = "default"
    """The name of the SES account (one account in one Region) whose limits all workers with this name share."""
    aws_region: str | None = None
    """Its Region. Unset: that of the AWS environment or profile."""
    aws_profile: str | None = None
    """The profile of the AWS files that has its credentials, and perhaps its Region and endpoint. Unset: whatever AWS's
    tools would use."""

    rate_per_second: float | None = Field(default=None, gt=0)
    """The account's send rate in recipients per second. Unset: read from SES GetAccount each minute."""
    quota_per_day: int | None = Field(default=None, ge=-1)
    """The account's quota in recipients per rolling 24 hours, -1 for none. Unset: read from SES GetAccount."""
    rate_headroom: float = Field(default=0.0, ge=0, lt=1)
    """Fraction of the account's rate to leave to others."""
    burst: float | None = Field(default=None, ge=1)
    """By how many recipients any one second may exceed the rate, as SES sees it: half of it is handed out at once after
    an idle moment, half covers permits that a worker uses late. Unset: 2, or a tenth of the rate if that is more."""
    quota_reserve: float = Field(default=0.05, ge=0, lt=1)
    """Fraction of the 24-hour quota that only the most urgent lane may use."""

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
"""The one that AWS's tools would use."""
