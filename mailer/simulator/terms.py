"""The limits and rights that AWS grants an account."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, PlainSerializer

from mailer.simulator.spec import Spec, said

Enforcement = Literal["HEALTHY", "PROBATION", "SHUTDOWN"]


def _quota(quota: float) -> float:
    if quota < 0 and quota != -1:
        raise ValueError(f"must be at least 0, or -1 for no quota, not {quota:g}")
    return quota


def _identities(names: frozenset[str]) -> frozenset[str]:
    """In SES's form: the case of a domain does not matter. An empty name only says that there are no others."""
    parts = (name.rpartition("@") for name in names if name)
    return frozenset(local + at + domain.lower() for local, at, domain in parts)


class Terms(Spec):
    """The limits and rights of an account."""

    called: ClassVar[str] = "an account"

    rate: float = Field(14.0, gt=0)
    """recipients per second"""
    quota: Annotated[float, AfterValidator(_quota)] = 50_000.0
    """recipients per rolling 24 hours; -1 for none"""
    bucket: float | None = Field(None, ge=1)
    """burst in recipients; without it the larger of 1 and the rate"""
    control_rate: float = Field(1.0, ge=0)
    """how often a second each call that is no send may come; 0 for no limit"""
    sending_enabled: Annotated[bool, said(flag="paused", help="sending disabled")] = True
    """whether the account may send"""
    enforcement: Enforcement = "HEALTHY"
    """what SES holds of the account; SHUTDOWN stops it for good"""
    sandbox: bool = False
    """only to verified identities and the mailbox simulator"""
    verified: (
        Annotated[frozenset[str], Field(strict=False), AfterValidator(_identities), PlainSerializer(sorted)] | None
    ) = None
    """a verified address or domain, besides those made over the API; without any, all senders are; an empty one makes
    it none"""

    @property
    def capacity(self) -> float:
        return max(1.0, self.rate) if self.bucket is None else self.bucket


class TermsAndUse(Terms):
    """An account as the control API changes it."""

    used: int | None = Field(None, ge=0)
    """recipients of the last 24 hours"""
