"""What the tour asks of a client."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

SENDER = "news@example.com"
Family = Literal["v1", "v2", "smtp"]


@dataclass(frozen=True, slots=True)
class Mail:
    """From ``SENDER``, to one or many."""

    to: tuple[str, ...] = ("ann@example.com",)
    subject: str = "Hello"
    text: str = "Hello, Ann."
    configuration_set: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """``ses_id`` where SES took the mail and the client tells; ``said`` is the client's error: code and text."""

    accepted: bool
    ses_id: str | None = None
    said: str = ""


class Client(ABC):
    """One client, open until ``close``. ``family`` is how SES's refusals look to it."""

    family: Family

    @abstractmethod
    def send(self, mail: Mail) -> Outcome:
        """One attempt."""

    def used(self) -> float | None:
        """What SES says was sent in the last 24 hours; None where the client has no such call."""
        return None

    def close(self) -> None:  # noqa: B027 - most start nothing
        """End what it started."""
