"""The message: a content for one recipient, all that a transport needs to send it."""

from __future__ import annotations

from dataclasses import dataclass

from mailer.address import Address
from mailer.content import Structured
from mailer.raw import MARK, Raw

Content = Structured | Raw
"""What the messages of one send share."""


def content_of(stored: bytes) -> Content:
    """The content that its ``encoded`` holds, validated anew. Raises InvalidMessage."""
    return Raw.from_bytes(stored) if stored.startswith(MARK) else Structured.from_bytes(stored)


@dataclass(frozen=True, slots=True)
class Message:
    """One mail to one recipient, validated and rendered.

    ``recipient`` is the envelope's. The ``To:`` header of structured content is the same, with the name; raw content
    has its own.
    """

    id: str
    recipient: Address
    content: Content

    def __repr__(self) -> str:
        return f"Message({self.id}, to {self.recipient.masked})"
