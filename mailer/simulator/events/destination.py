"""A destination of events, as a flag or the control API describes it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from mailer.simulator.events.event import NOTIFIED, Format, Kind
from mailer.simulator.spec import Spec

if TYPE_CHECKING:
    from mailer.simulator.events.event import Event


_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")
_LONGEST_QUEUE_NAME = 80
_URL = re.compile(r"[!-~]{1,2000}")
_A_DAY = 86_400.0
_AN_HOUR = 3600.0


def _topic(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"must be at most 256 letters, digits, - and _, not {name[:100]!r}")
    return name


class Destination(Spec):
    """One subscription to the events of every message, or of some of them."""

    called: ClassVar[str] = "a destination"
    first: ClassVar[str] = "target"

    kind: Literal["webhook", "queue"]
    """a webhook gets SNS messages by POST; a queue is polled by an SQS client"""
    target: str
    """the webhook's URL, or the queue's name"""
    format: Format = "event"
    """SES's event publishing, or an identity's older notification"""
    raw: bool = False
    """without the SNS envelope"""
    signature_version: Literal["1", "2"] = "1"
    """of the SNS envelope"""
    events: Annotated[tuple[Kind, ...], Field(strict=False)] | None = None
    """only these kinds of events"""
    configuration_set: str | None = None
    """only mail with this configuration set"""
    topic: Annotated[str, AfterValidator(_topic)] = "ses-events"
    """the name of the SNS topic"""
    confirm: bool = True
    """a webhook must first answer a SubscriptionConfirmation"""
    announce: bool = False
    """begin with the plain text that SES publishes to a new destination"""
    retries: int = Field(3, ge=0, le=100)
    """how many times more a webhook that fails is tried"""
    retry_seconds: float = Field(20.0, ge=0, le=_A_DAY)
    """the time between two tries"""
    timeout_seconds: float = Field(15.0, gt=0, le=_AN_HOUR)
    """how long a try may take"""

    @field_validator("target", mode="after")
    @classmethod
    def _fits_its_kind(cls, target: str, given: ValidationInfo) -> str:
        if given.data.get("kind") == "webhook" and not _is_url(target):
            raise ValueError(f"must be the URL of a webhook, not {target!r}")
        if given.data.get("kind") == "queue" and not (len(target) <= _LONGEST_QUEUE_NAME and _NAME.fullmatch(target)):
            raise ValueError(f"must be the name of a queue, at most 80 letters, digits, - and _, not {target!r}")
        return target

    def wants(self, event: Event) -> bool:
        return (
            (self.events is None or event.kind in self.events)
            and (self.format == "event" or event.kind in NOTIFIED)
            and self.configuration_set in {None, event.sending.configuration_set}
        )


def _is_url(target: str) -> bool:
    try:
        url = urlsplit(target)
        plain = _URL.fullmatch(target) is not None and "@" not in url.netloc
        return plain and url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:  # an invalid port
        return False
