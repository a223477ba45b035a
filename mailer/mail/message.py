"""The message: a content for one recipient. A transport needs nothing else to send it."""

from __future__ import annotations

from dataclasses import dataclass

from mailer.mail.address import Address
from mailer.mail.content import Structured
from mailer.mail.raw import MARK, Raw

Content = Structured | Raw
"""The content shared by all messages of one send."""


def content_of(stored: bytes) -> Content:
    """Decode and validate a content from its ``encoded`` bytes. Raises InvalidMessage."""
    return Raw.from_bytes(stored) if stored.startswith(MARK) else Structured.from_bytes(stored)


@dataclass(frozen=True, slots=True)
class Message:
    """One mail to one recipient, validated and rendered.

    ``recipient`` is the envelope's. Structured content has the same address in its ``To:`` header, with the name. Raw
    content has its own ``To:`` header.
    """

    id: str
    recipient: Address
    content: Content

    def __repr__(self) -> str:
        return f"Message({self.id}, to {self.recipient.masked})"
