"""The settings: one frozen value, read once from the environment (prefix ``MAILER_``).

Each field's variable is its name in capitals: ``redis_url`` is ``MAILER_REDIS_URL``. The standard AWS variables
(``AWS_REGION``, ``AWS_PROFILE``, ``AWS_ENDPOINT_URL_SESV2``, ...) keep their meaning, and botocore reads them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from mailer.account import Account
from mailer.errors import SettingsError
from mailer.rules import ON_UNKNOWN, Rules

MARGIN_SECONDS = 1.0
"""The safety margin of a lease. A lease must exceed the longest send by this, for the time between the starts of the
lease and the send. It must also exceed `Settings.answer_seconds` by this, for the time between a new connection and the
settlement."""

TransportKind = Literal["ses", "boto3", "smtp"]


class Settings(Account, Rules, BaseSettings):
    """The account, its rules, and the places of Redis and SES. The names contain the units."""

    model_config = SettingsConfigDict(env_prefix="MAILER_", frozen=True, extra="forbid", allow_inf_nan=False)

    redis_url: SecretStr | None = None
    """``redis://user:password@host:6379/0``, ``rediss://`` (TLS, and the certificate is checked), ``unix://`` or
    ``sentinel://host:26379;sentinel://host2:26379/0``. After a ``?`` only options that begin with ``ssl_`` are allowed.
    Unset: the server that ``mailer up`` embeds in ``data_dir``."""
    redis_sentinel_master: str | None = None
    """The name of the master that the sentinels watch. Required with ``sentinel://``."""

    transport: TransportKind = "ses"
    """``ses`` (our own signer on libcurl's connections, the fastest), ``boto3`` or ``smtp``."""
    connect_timeout_seconds: float = Field(default=3.0, gt=0)
    """The longest wait for a connection to SES."""
    read_timeout_seconds: float = Field(default=30.0, gt=0)
    """The longest wait for SES's answer. After it nobody knows whether SES accepted the message."""
    smtp_url: SecretStr | None = None
    """``smtp://user:password@host:587`` (STARTTLS) or ``smtps://...:465``. Unset: SES's endpoint of the Region, with a
    password that is derived from the AWS credentials."""

    data_dir: Path = Path(".mailer")
    """The folder in which ``mailer up`` keeps the embedded server's data, and where programs look for its address. It
    belongs to one user, and lies in no folder that others may write (except /tmp and the like)."""
    alive_dir: Path | None = None
    """A folder for health checks, a separate one for each ``mailer worker``. Each process touches a file there every
    two seconds while its event loop turns. ``docker-compose.yml`` looks at the age of these files."""

    @model_validator(mode="before")
    @classmethod
    def _collect_on_unknown(cls, values: dict[str, Any]) -> dict[str, Any]:
        named = {
            name.removeprefix(ON_UNKNOWN).lower(): value.strip().lower()
            for name, value in os.environ.items()
            if name.startswith(ON_UNKNOWN)
        }
        return {**values, "on_unknown": {**named, **values.get("on_unknown", {})}}

    @model_validator(mode="after")
    def _check_lease(self) -> Self:
        if self.lease_seconds < self.send_seconds + MARGIN_SECONDS:
            raise ValueError(
                f"MAILER_LEASE_SECONDS={self.lease_seconds:g} must exceed the connect and read timeouts together "
                f"({self.send_seconds:g} s) by {MARGIN_SECONDS:g} s at least: else a message is handed to a second "
                "worker while the first still waits for SES, or returned unsent again and again, as too little of its "
                "lease is left"
            )
        if self.lease_seconds < self.answer_seconds + MARGIN_SECONDS:
            raise ValueError(
                f"MAILER_LEASE_SECONDS={self.lease_seconds:g} must exceed twice MAILER_REDIS_TIMEOUT_SECONDS="
                f"{self.redis_timeout_seconds:g} by {MARGIN_SECONDS:g} s at least: so long a worker takes to notice "
                "that its connection to Redis hangs, and what it cannot settle within the lease is sent again. Set the "
                f"first to {self.answer_seconds + MARGIN_SECONDS:g} or more, or lower the second"
            )
        return self

    @property
    def send_seconds(self) -> float:
        """The longest duration of a send."""
        return self.connect_timeout_seconds + self.read_timeout_seconds


def strangers(environment: Mapping[str, str]) -> list[str]:
    """The variables that look like settings but are not. Nothing reads them."""
    known = {f"MAILER_{name.upper()}" for name in Settings.model_fields if name != "on_unknown"}
    return sorted(
        name
        for name in environment
        if name.startswith("MAILER_") and not name.startswith(ON_UNKNOWN) and name not in known
    )


def load(**overrides: Any) -> Settings:
    """Read the settings from the environment. Raises SettingsError with the variable's name and the remedy."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = []
        for problem in error.errors(include_url=False, include_input=False):
            where = "_".join(str(part) for part in problem["loc"]).upper()
            text = problem["msg"].removeprefix("Value error, ")
            lines.append(f"MAILER_{where}: {text}" if where else text)
        raise SettingsError("; ".join(lines)) from None


@cache
def current() -> Settings:
    """The settings of this process, read from the environment on first use."""
    return load()
