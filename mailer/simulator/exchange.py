"""One HTTP request and its reply: the values between the wire and the doors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailer.simulator.errors import SesError


_LONGEST_INVOCATION_ID = 200  # the simulator keeps it; an SDK's has 36 characters


@dataclass(slots=True)
class Request:
    """A whole request. Header names are lower case. ``path`` and ``query`` are as sent, still percent-encoded."""

    method: str
    path: str
    query: bytes
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def invocation_id(self) -> str | None:
        """The id of a call. All attempts of an AWS SDK at one call have the same id."""
        given = self.headers.get(b"amz-sdk-invocation-id")
        return None if given is None or len(given) > _LONGEST_INVOCATION_ID else given.decode("latin-1")

    @property
    def access_key(self) -> str:
        """The access key id that the request claims. Empty if it claims none."""
        _, found, rest = self.headers.get(b"authorization", b"").partition(b"Credential=")
        return rest.partition(b"/")[0].decode("latin-1") if found else ""


class Ending(Enum):
    """How an exchange ends on the wire."""

    ANSWER = auto()
    """Send the reply and keep the connection."""
    ANSWER_AND_CLOSE = auto()
    """Send the reply, then close the connection without announcing it."""
    RESET = auto()
    CLOSE = auto()
    SILENCE = auto()
    """Never send anything. The connection stays open until the client closes it."""
    TRICKLE = auto()
    """Send the reply at ``bytes_per_second`` and keep the connection."""
    GARBAGE = auto()
    """Send a reply whose body ends in the middle, with a Content-Length that fits."""


@dataclass(frozen=True, slots=True)
class Reply:
    """``delay`` is in seconds from now."""

    status: int
    body: bytes
    error_code: str = ""
    """The v2 API's ``x-amzn-ErrorType``. Empty for a success."""
    content_type: bytes = b"application/json"
    headers: Mapping[str, str] | None = None
    request_id: str = ""
    """Set if the body contains it too."""
    delay: float = 0.0
    ending: Ending = Ending.ANSWER
    bytes_per_second: float = 0.0
    taken: bool | None = None
    """Whether SES did the work. Set where a fault makes the status say otherwise."""

    @classmethod
    def of_error(cls, error: SesError) -> Reply:
        """An error of the v2 API."""
        # A layer in front of SES refuses by IAM and signature. It capitalises the field, as most AWS services do.
        field = "Message" if error.status == 403 else "message"
        return cls(error.status, json.dumps({field: error.text}).encode(), error.code)
