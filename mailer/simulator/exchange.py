"""One HTTP request and what is done about it: the values between the wire and the doors behind it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailer.simulator.errors import SesError


_LONGEST_INVOCATION_ID = 200  # it is kept; an SDK's has 36 characters


@dataclass(slots=True)
class Request:
    """A whole request. Header names are lower case; ``path`` and ``query`` are as sent, still percent-encoded."""

    method: str
    path: str
    query: bytes
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def invocation_id(self) -> str | None:
        """The same for every attempt that an AWS SDK makes at one call."""
        given = self.headers.get(b"amz-sdk-invocation-id")
        return None if given is None or len(given) > _LONGEST_INVOCATION_ID else given.decode("latin-1")

    @property
    def access_key(self) -> str:
        """The access key id that it says it is signed with; empty where it says none."""
        _, found, rest = self.headers.get(b"authorization", b"").partition(b"Credential=")
        return rest.partition(b"/")[0].decode("latin-1") if found else ""


class Ending(Enum):
    """How an exchange ends on the wire."""

    ANSWER = auto()
    """The reply is sent and the connection kept."""
    ANSWER_AND_CLOSE = auto()
    """The reply is sent, then the connection closed without having said so."""
    RESET = auto()
    CLOSE = auto()
    SILENCE = auto()
    """Nothing is sent, ever; the connection stays until the client leaves."""
    TRICKLE = auto()
    """The reply is sent at ``bytes_per_second`` and the connection kept."""
    GARBAGE = auto()
    """The reply's body breaks off in the middle, though its length is right."""


@dataclass(frozen=True, slots=True)
class Reply:
    """``delay`` is in seconds from now."""

    status: int
    body: bytes
    error_code: str = ""
    """``x-amzn-ErrorType`` of the v2 API; empty for a success."""
    content_type: bytes = b"application/json"
    request_id: str = ""
    """Where the body names it too."""
    delay: float = 0.0
    ending: Ending = Ending.ANSWER
    bytes_per_second: float = 0.0
    taken: bool | None = None
    """Whether SES did what it was asked, where a fault makes the status say otherwise."""

    @classmethod
    def of_error(cls, error: SesError) -> Reply:
        """An error of the v2 API."""
        # IAM and signature refusals come from in front of SES and capitalise the field, as most AWS services do.
        field = "Message" if error.status == 403 else "message"
        return cls(error.status, json.dumps({field: error.text}).encode(), error.code)

    def ending_as(self, kind: str, bytes_per_second: float) -> Reply:
        """This reply under a fault of the wire, by the fault's kind."""
        return replace(self, ending=_ENDINGS[kind], bytes_per_second=bytes_per_second)


_ENDINGS = {
    "reset": Ending.RESET,
    "close": Ending.CLOSE,
    "close-idle": Ending.ANSWER_AND_CLOSE,
    "silence": Ending.SILENCE,
    "malformed": Ending.GARBAGE,
    "slow-answer": Ending.TRICKLE,
}
