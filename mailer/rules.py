"""The rules by which a host's workers take messages and settle them: its lanes, leases, retries and records."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, model_validator
from pydantic_settings import NoDecode

from mailer.errors import UnknownLane

OnUnknown = Literal["resend", "hold"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_OF_KOMBU = frozenset({"unacked", "unacked_index", "unacked_mutex"})
"""What a lane could be called and kombu's Redis transport calls keys of its own. Its others have other characters."""
ON_UNKNOWN = "MAILER_ON_UNKNOWN_"


class Lanes(tuple[str, ...]):
    """The names of an account's lanes, most urgent first."""

    __slots__ = ()

    @property
    def most_urgent(self) -> str:
        """The default of a single message. It alone may use the quota's reserve, and it resends by default."""
        return self[0]

    @property
    def least_urgent(self) -> str:
        """The default of a bulk send."""
        return self[-1]

    def check(self, lane: object) -> str:
        """``lane``, if it is one of them. Raises UnknownLane."""
        if isinstance(lane, str) and lane in self:
            return lane
        found = f"{lane!r:.80} is not one" if isinstance(lane, str) else f"is of type {type(lane).__name__}"
        raise UnknownLane("lane", found, f"Use one of {', '.join(self)}, or add it to MAILER_LANES")

    @classmethod
    def of(cls, names: object) -> Lanes:
        """From their names, as a text with commas between them or one by one. Raises ValueError."""
        if isinstance(names, str):
            names = [name.strip() for name in names.split(",") if name.strip()]
        if not names or not isinstance(names, list | tuple):
            raise ValueError("name at least one lane, for example MAILER_LANES=transactional,bulk")
        for lane in names:
            if not isinstance(lane, str) or not _NAME.fullmatch(lane):
                raise ValueError(f"lane {lane!r}: use small letters, digits, '-' and '_', at most 63")
            if lane in _OF_KOMBU:
                raise ValueError(f"lane {lane!r}: Celery's transport has a key of that name; use another")
        if len(set(names)) != len(names):
            raise ValueError("each lane may be named once")
        return cls(names)


class Rules(BaseModel):
    """They are one value from the settings to the script. `mailer.settings.Settings` is one."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    lanes: Annotated[Lanes, NoDecode, PlainValidator(Lanes.of)] = Lanes(("transactional", "bulk"))
    """Most urgent first. A producer's default is the first for ``send`` and the last for ``send_many``."""
    on_unknown: dict[str, OnUnknown] = {}
    """By lane, what becomes of a message whose outcome is unknown: set with ``MAILER_ON_UNKNOWN_<LANE>``. Without it
    the most urgent lane resends and the others hold."""
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
    redis_replicas: int = Field(default=0, ge=0)
    """How many replicas must have a message before ``send`` returns, and what a worker was handed before it sends it. A
    failover to one of them then loses nothing and sends nothing twice."""
    redis_timeout_seconds: float = Field(default=5.0, gt=0)
    """Longest wait for a connection to Redis, and for its answer to a single command."""

    @model_validator(mode="after")
    def _check_on_unknown(self) -> Self:
        unknown = set(self.on_unknown) - {lane.replace("-", "_") for lane in self.lanes} - set(self.lanes)
        if unknown:
            raise ValueError(f"{ON_UNKNOWN}{min(unknown).upper()} names no lane of MAILER_LANES={','.join(self.lanes)}")
        return self

    @property
    def answer_seconds(self) -> float:
        """How long a worker waits for Redis to hand out messages before it takes the connection for dead."""
        return 2 * self.redis_timeout_seconds

    def unknown_policy(self, lane: str) -> OnUnknown:
        """What becomes of a message of ``lane`` whose outcome is unknown."""
        default: OnUnknown = "resend" if lane == self.lanes.most_urgent else "hold"
        return self.on_unknown.get(lane, self.on_unknown.get(lane.replace("-", "_"), default))

    def as_json(self) -> dict[str, Any]:
        """The rules alone, as JSON has them: `Rules.model_validate` reads it."""
        return self.model_dump(mode="json", include=set(Rules.model_fields))
