"""The rules for taking and settling messages on a host: its lanes, leases, retries and records."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, model_validator
from pydantic_settings import NoDecode

from mailer.errors import UnknownLane

OnUnknown = Literal["resend", "hold"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_OF_KOMBU = frozenset({"unacked", "unacked_index", "unacked_mutex"})
"""Keys of kombu's Redis transport whose names are valid lane names. Its other keys contain other characters."""
ON_UNKNOWN = "MAILER_ON_UNKNOWN_"


class Lanes(tuple[str, ...]):
    """The names of an account's lanes, most urgent first."""

    __slots__ = ()

    @property
    def most_urgent(self) -> str:
        """The default lane of a single message. Only it may use the quota's reserve. It resends by default."""
        return self[0]

    @property
    def least_urgent(self) -> str:
        """The default lane of a bulk send."""
        return self[-1]

    def check(self, lane: object) -> str:
        """Return ``lane`` if it is one of these lanes. Raises UnknownLane."""
        if isinstance(lane, str) and lane in self:
            return lane
        found = f"{lane!r:.80} is not one" if isinstance(lane, str) else f"is of type {type(lane).__name__}"
        raise UnknownLane("lane", found, f"Use one of {', '.join(self)}, or add it to MAILER_LANES")

    @classmethod
    def of(cls, names: object) -> Lanes:
        """The lanes with these names: a text with commas, a list or a tuple. Raises ValueError."""
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
    """One value that passes from the settings to the script. `mailer.settings.Settings` is a subclass."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    lanes: Annotated[Lanes, NoDecode, PlainValidator(Lanes.of)] = Lanes(("transactional", "bulk"))
    """The lanes, most urgent first. By default ``send`` uses the first and ``send_many`` the last."""
    on_unknown: dict[str, OnUnknown] = {}
    """The policy of each lane for messages with an unknown outcome, set with ``MAILER_ON_UNKNOWN_<LANE>``. By default
    the most urgent lane resends and the others hold."""
    lease_seconds: float = Field(default=60.0, gt=0)
    """The time for which a taken message belongs to its worker. It must exceed both the connect and read timeouts
    together, and twice the timeout of Redis, by at least a second. Elsewhere it is called the visibility timeout."""
    retry_hours: float = Field(default=24.0, ge=0)
    """The longest total wait between the attempts of a message that fails for a passing reason. After it the message
    becomes a dead letter. The time in its lane does not count. The first wait is up to 2 seconds, and each further one
    up to twice as long, up to 15 minutes. 0: one attempt."""
    record_hours: float = Field(default=72.0, ge=0)
    """The shortest time for which the record of each message is kept. 0: nothing is recorded."""
    record_megabytes: float = Field(default=64.0, gt=0)
    """The most memory for the records in Redis. The oldest are removed first. A message that is sent at the first
    attempt takes about 170 bytes."""
    redis_replicas: int = Field(default=0, ge=0)
    """The number of replicas that must have a message before ``send`` returns, and a take before its worker sends the
    messages. Then a failover to one of these replicas loses nothing and sends nothing twice. With sentinels all
    replicas that follow must have them, and at least this number."""
    redis_timeout_seconds: float = Field(default=5.0, gt=0)
    """The longest wait for a connection to Redis, and for its answer to a single command. Also the longest wait of a
    ``send`` for one of the 100 connections of its process, when more threads or greenlets send at once."""

    @model_validator(mode="after")
    def _check_on_unknown(self) -> Self:
        unknown = set(self.on_unknown) - {lane.replace("-", "_") for lane in self.lanes} - set(self.lanes)
        if unknown:
            raise ValueError(f"{ON_UNKNOWN}{min(unknown).upper()} names no lane of MAILER_LANES={','.join(self.lanes)}")
        return self

    @property
    def answer_seconds(self) -> float:
        """The longest wait for the answer to a take. Then the worker treats the connection as dead."""
        return 2 * self.redis_timeout_seconds

    def unknown_policy(self, lane: str) -> OnUnknown:
        """The policy of ``lane`` for a message with an unknown outcome."""
        default: OnUnknown = "resend" if lane == self.lanes.most_urgent else "hold"
        return self.on_unknown.get(lane, self.on_unknown.get(lane.replace("-", "_"), default))

    def as_json(self) -> dict[str, Any]:
        """The rules alone, as JSON values. `Rules.model_validate` reads them."""
        return self.model_dump(mode="json", include=set(Rules.model_fields))
