"""The message: a content for one recipient, all that a transport needs to send it."""

from __future__ import annotations

from dataclasses import dataclass

from mailer.address import Address
from mailer.content import Structured


@dataclass(frozen=True, slots=True)
class Message:
    """One mail to one recipient, validated and rendered.

    ``recipient`` is the envelope's. The ``To:`` header of structured content is the same, with the name.
    """

    id: str
    recipient: Address
    content: Structured

    def __repr__(self) -> str:
        return f"Message({self.id}, to {self.recipient.masked})"
