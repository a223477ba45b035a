"""A message's content, as the fields that most tests write."""

from __future__ import annotations

from mailer.mail.content import Structured
from mailer.mail.message import Message


def structured(message: Message) -> Structured:
    """The content of a message that is made of fields."""
    assert isinstance(message.content, Structured)
    return message.content
