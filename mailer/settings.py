"""The settings: one frozen value, read once from the environment (prefix ``MAILER_``).

Every field is the variable of its name in capitals: ``redis_url`` is ``MAILER_REDIS_URL``. The standard AWS variables
(``AWS_REGION``, ``AWS_PROFILE``, ``AWS_ENDPOINT_URL_SESV2``, ...) keep their meaning and are read by botocore.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from mailer.errors import SettingsError

MARGIN_SECONDS = 1.0
"""How much longer than a send a lease must last, for the time from the lease's beginning to that of the send; and than
`Settings.answer_seconds`, for the time from a new connection to the settlement."""

OnUnknown = Literal["resend", "hold"]
TransportKind = Literal["ses", "boto3", "smtp"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_OF_KOMBU = frozenset({"unacked", "unacked_index", "unacked_mutex"})
"""What a lane could be called and kombu's Redis transport calls keys of its own. Its others have other characters."""
_ON_UNKNOWN = "MAILER_ON_UNKNOWN_"


class Settings(BaseSettings):
    """How this process finds Redis and SES, and the rules of the account. Units are in the names."""

    model_config = SettingsConfigDict(env_prefix="MAILER_", frozen=True, extra="forbid", allow_inf_nan=False)

    redis_url: SecretStr | None = None
    """``redis://``, ``rediss://``, ``unix://`` or ``sentinel://host:26379;sentinel://host2:26379/0``. Unset: the
    server that ``mailer up`` embeds in ``data_dir``."""
    redis_sentinel_master: str | None = None
    """The name of the master that the sentinels watch; needed with ``sentinel://``."""
    redis_timeout_seconds: float = Field(default=5.0, gt=0)
    """Longest wait for a connection to Redis, and for its answer to a single command."""
    redis_replicas: int = Field(default=0, ge=0)
    """How many replicas must have a message before ``send`` returns, and what a worker was handed before it sends it. A
    failover to one of them then loses nothing and sends nothing twice."""
    key_prefix: str = "mailer:"
    """In front of every key in Redis, so that several installations can share one."""
    account: str = "default"
    """The name of the SES account (one account in one Region) whose limits all workers with this name share."""

    lanes: Annotated[tuple[str, ...], NoDecode] = ("transactional", "bulk")
    """Most urgent first. A producer's default is the first for ``send`` and the last for ``send_many``."""
    on_unknown: dict[str, OnUnknown] = {}
    """By lane, what becomes of a message whose outcome is unknown: set with ``MAILER_ON_UNKNOWN_<LANE>``. Without it
    the most urgent lane resends and the others hold."""
    quota_reserve: float = Field(default=0.05, ge=0, lt=1)
    """Fraction of the 24-hour quota that only the most urgent lane may use."""

    rate_per_second: float | None = Field(default=None, gt=0)
    """The account's send rate in recipients per second. Unset: read from SES GetAccount each minute."""
    quota_per_day: int | None = Field(default=None, ge=-1)
    """The account's quota in recipients per rolling 24 hours, -1 for none. Unset: read from SES GetAccount."""
    rate_headroom: float = Field(default=0.0, ge=0, lt=1)
    """Fraction of the account's rate to leave to others."""
    burst: float | None = Field(default=None, ge=1)
    """By how many recipients any one second may exceed the rate, as SES sees it: half of it is handed out at once after
    an idle moment, half covers permits that a worker uses late. Unset: 2, or a tenth of the rate if that is more."""

    transport: TransportKind = "ses"
    connect_timeout_seconds: float = Field(default=3.0, gt=0)
    read_timeout_seconds: float = Field(default=30.0, gt=0)
    smtp_url: SecretStr | None = None
    """``smtp://user:password@host:587`` (STARTTLS) or ``smtps://...:465``. Unset: SES's endpoint of the Region with a
    password derived from the AWS credentials."""
    lease_seconds: float = Field(default=60.0, gt=0)
    """How long a taken message belongs to its worker: a second more than the connect and read timeouts together, and
    than twice the timeout of Redis, or longer."""
    retry_hours: float = Field(default=24.0, ge=0)
    """How long a message that fails for a passing reason waits between its attempts at most, all together, before it
    becomes a dead letter. The time in its lane does not count. 0: it is tried once."""

    record_hours: float = Field(default=72.0, ge=0)
    """How long the record of what happened to each message is kept at least. 0: nothing is recorded."""
    record_megabytes: float = Field(default=64.0, gt=0)
    """The most memory that the records take in Redis; the oldest go first. A message that is sent at the first attempt
    takes some 170 bytes."""

    data_dir: Path = Path(".mailer")
    """Where ``mailer up`` keeps the embedded server's data."""
    alive_dir: Path | None = None
    """A folder for health checks, one for each ``mailer worker``: each process touches a file there every two seconds,
    as long as its event loop turns."""

    @model_validator(mode="before")
    @classmethod
    def _collect_on_unknown(cls, values: dict[str, Any]) -> dict[str, Any]:
        named = {
            name.removeprefix(_ON_UNKNOWN).lower(): value.strip().lower()
            for name, value in os.environ.items()
            if name.startswith(_ON_UNKNOWN)
        }
        return {**values, "on_unknown": {**named, **values.get("on_unknown", {})}}

    @field_validator("lanes", mode="before")
    @classmethod
    def _split_lanes(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("lanes")
    @classmethod
    def _check_lanes(cls, lanes: tuple[str, ...]) -> tuple[str, ...]:
        if not lanes:
            raise ValueError("name at least one lane, for example MAILER_LANES=transactional,bulk")
        for lane in lanes:
            if not _NAME.fullmatch(lane):
                raise ValueError(f"lane {lane!r}: use small letters, digits, '-' and '_', at most 63")
            if lane in _OF_KOMBU:
                raise ValueError(f"lane {lane!r}: Celery's transport has a key of that name; use another")
        if len(set(lanes)) != len(lanes):
            raise ValueError("each lane may be named once")
        return lanes

    @field_validator("account")
    @classmethod
    def _check_account(cls, account: str) -> str:
        if not _ACCOUNT.fullmatch(account):
            raise ValueError(f"account {account!r}: use letters, digits, '-', '_' and '.', at most 63")
        return account

    @field_validator("key_prefix")
    @classmethod
    def _check_key_prefix(cls, prefix: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9:_.-]{0,63}", prefix):
            raise ValueError("use letters, digits and ':_.-', at most 63")
        return prefix

    @model_validator(mode="after")
    def _check_together(self) -> Settings:
        unknown = set(self.on_unknown) - {lane.replace("-", "_") for lane in self.lanes} - set(self.lanes)
        if unknown:
            raise ValueError(
                f"{_ON_UNKNOWN}{min(unknown).upper()} names no lane of MAILER_LANES={','.join(self.lanes)}"
            )
        self._check_lease()
        return self

    def _check_lease(self) -> None:
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

    @property
    def send_seconds(self) -> float:
        """The longest that a send takes."""
        return self.connect_timeout_seconds + self.read_timeout_seconds

    @property
    def answer_seconds(self) -> float:
        """How long a worker waits for Redis to hand out messages before it takes the connection for dead."""
        return 2 * self.redis_timeout_seconds

    def unknown_policy(self, lane: str) -> OnUnknown:
        """What becomes of a message of ``lane`` whose outcome is unknown."""
        default: OnUnknown = "resend" if lane == self.lanes[0] else "hold"
        return self.on_unknown.get(lane, self.on_unknown.get(lane.replace("-", "_"), default))


def strangers(environment: Mapping[str, str]) -> list[str]:
    """Variables that look like settings and are none: nothing reads them."""
    known = {f"MAILER_{name.upper()}" for name in Settings.model_fields if name != "on_unknown"}
    return sorted(
        name
        for name in environment
        if name.startswith("MAILER_") and not name.startswith(_ON_UNKNOWN) and name not in known
    )


def load(**overrides: Any) -> Settings:
    """Read the environment. Raises SettingsError with the variable's name and the remedy."""
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
