"""One failure on request: what happens, to which requests, and when."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from mailer.simulator import errors
from mailer.simulator.latency import AT_ONCE, Duration
from mailer.simulator.spec import Spec

if TYPE_CHECKING:
    from collections.abc import Iterable

Kind = Literal[
    "error",
    "latency",
    "reset",
    "close",
    "close-idle",
    "silence",
    "malformed",
    "slow-answer",
    "slow-read",
    "refuse",
]
KINDS: dict[Kind, str] = {
    "error": "an SES error: `error` names it, and `status`, `code`, `text` and `smtp` replace its parts",
    "latency": "the answer takes `latency` longer",
    "reset": "no answer: the connection is reset (RST)",
    "close": "no answer: the connection is closed (FIN)",
    "close-idle": "a good answer, and then the connection is closed without a word, as SES closes idle ones",
    "silence": "no answer: the connection stays open until the client gives up",
    "malformed": "an answer that breaks off",
    "slow-answer": "the answer comes at `bytes_per_second`. No read timeout sees that: it counts from byte to byte",
    "slow-read": "the request is read at `bytes_per_second`, so that a large one fills the client's buffers. Over HTTP "
    "every call of the v1 API counts as a send: only its body names it",
    "refuse": "nobody listens for `seconds`, and idle connections are closed; again each `every`, `count` times. The "
    "control API listens there too, and answers on connections that it already has",
}
"""The effect of each kind of fault."""

Operation = Literal["send", "account"]
Transport = Literal["http", "smtp"]

BEFORE_READING: frozenset[Kind] = frozenset({"slow-read", "refuse"})
"""The kinds that strike before anything of the request is known."""

_ON_THE_WIRE = tuple(kind for kind in KINDS if kind not in {"latency", "close-idle", *BEFORE_READING})
_NOT_AN_OUTAGE = tuple(kind for kind in KINDS if kind != "refuse")
_OF_A_REQUEST = tuple(kind for kind in KINDS if kind not in BEFORE_READING)


def _known(name: str) -> str:
    if name not in errors.BY_NAME:
        raise ValueError(f"must be one of {', '.join(errors.BY_NAME)}, not {name!r}")
    return name


def _line(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise ValueError("must be one line of ASCII")
    return text


def _of(kinds: Iterable[Kind], default: Any = None, enum: list[str] | None = None, **bounds: Any) -> Any:
    """A field that only these kinds have."""
    extra: dict[str, Any] = {"kinds": list(kinds)} | ({} if enum is None else {"enum": enum})
    return Field(default, json_schema_extra=extra, **bounds)


class Fault(Spec):
    """One failure. It strikes the requests that all of its fields match. In a bulk send it strikes each entry alone,
    whatever the key. All its times are real time, like all times on the wire."""

    called: ClassVar[str] = "a fault"
    first: ClassVar[str] = "kind"

    kind: Kind
    """what happens"""
    error: Annotated[str, AfterValidator(_known)] = _of(["error"], "internal", list(errors.BY_NAME))
    """the name of an SES error"""
    status: int | None = _of(["error"], ge=200, le=599)
    """instead of the error's own HTTP status"""
    code: Annotated[str, AfterValidator(_line)] | None = _of(["error"])
    """instead of the error's own code"""
    text: str | None = _of(["error"])
    """instead of the error's own text"""
    smtp: Annotated[str, AfterValidator(_line)] | None = _of(["error"])
    """instead of the error's own reply line over SMTP"""
    latency: Duration = _of(["latency"], AT_ONCE)
    """`20ms`, `uniform:10ms-50ms` or `lognormal:20ms/0.5` (median/sigma)"""
    bytes_per_second: float = _of(["slow-answer", "slow-read"], 1024.0, ge=1)
    """the pace"""
    when: Literal["before", "after"] | None = _of(_ON_THE_WIRE)
    """before the message is accepted, or after: SES charges and records it, and then it fails. Without it before for an
    error, after for others"""
    operation: Operation | None = _of(_NOT_AN_OUTAGE, "send")
    """only sends, or only the other calls (`account`); null for all"""
    transport: Transport | None = None
    """only HTTP, or only SMTP"""
    recipient: str | None = _of(_OF_A_REQUEST)
    """only mail to an address that has this part"""
    access_key: str | None = _of(_OF_A_REQUEST)
    """only HTTP requests that this key id signs, as if only that key were refused"""
    probability: float = _of(_NOT_AN_OUTAGE, 1.0, ge=0, le=1)
    """how often it strikes such a request, from 0 to 1"""
    count: int | None = Field(None, ge=1)
    """how many times it strikes; null for no end"""
    seconds: float | None = Field(None, gt=0)
    """only for its first seconds; null for no end"""
    every: float | None = None
    """in force again each so many seconds"""

    @field_validator("when", mode="after")
    @classmethod
    def _usual_time(cls, when: str | None, given: ValidationInfo) -> str:
        return when or ("before" if given.data.get("kind") == "error" else "after")

    @model_validator(mode="after")
    def _makes_sense(self) -> Fault:
        if self.kind == "close-idle" and self.when == "before":
            raise ValueError("close-idle comes after a good answer: there is no before")
        if self.every is not None and not (self.seconds is not None and self.seconds < self.every):
            raise ValueError("every must be longer than the seconds that it is in force")
        if self.kind == "refuse" and self.seconds is None:
            # The control API is on the same port.
            raise ValueError("refuse needs seconds: nobody could end it otherwise")
        if self.kind == "refuse" and self.count is not None and self.every is None:
            raise ValueError("refuse takes a count only with every: of outages, not of connections")
        if self.kind in BEFORE_READING and (self.recipient is not None or self.access_key is not None):
            raise ValueError(f"{self.kind} cannot know the recipient yet, nor the key")
        return self

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_none=True)

    def answer(self, region: str, wall: float) -> errors.SesError:
        """The answer of an ``error`` fault. ``wall`` is SES's time of day."""
        error = errors.named(self.error, region, wall)
        return replace(
            error,
            status=self.status or error.status,
            code=self.code or error.code,
            text=error.text if self.text is None else self.text,
            v1=self.code or error.v1,
            v1_text=error.v1_text if self.text is None else "",
            smtp=self.smtp or error.smtp,
        )
