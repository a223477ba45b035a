"""Send mail through Amazon SES from many machines, at exactly the rate the account allows."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mailer.errors import (
    InvalidMessage,
    InvalidRequest,
    MailerError,
    NotFound,
    NotOnDisk,
    QueueUnavailable,
    SettingsError,
    UnknownLane,
    Unwritable,
)

if TYPE_CHECKING:
    from mailer.mail.attachment import Attachment
    from mailer.mail.recipient import Recipient
    from mailer.operations.commands import dead, held, pause, rate, resume, scheduled
    from mailer.producer.producer import Producer, configure, send, send_many, send_raw
    from mailer.producer.send_many import SendManyResult
    from mailer.queue.shelf import Filter, Shelf

__all__ = [
    "Attachment",
    "Filter",
    "InvalidMessage",
    "InvalidRequest",
    "MailerError",
    "NotFound",
    "NotOnDisk",
    "Producer",
    "QueueUnavailable",
    "Recipient",
    "SendManyResult",
    "SettingsError",
    "Shelf",
    "UnknownLane",
    "Unwritable",
    "configure",
    "dead",
    "held",
    "pause",
    "rate",
    "resume",
    "scheduled",
    "send",
    "send_many",
    "send_raw",
]

_HOMES = {
    "mailer.mail.attachment": ("Attachment",),
    "mailer.mail.recipient": ("Recipient",),
    "mailer.operations.commands": ("dead", "held", "pause", "rate", "resume", "scheduled"),
    "mailer.producer.producer": ("Producer", "configure", "send", "send_many", "send_raw"),
    "mailer.producer.send_many": ("SendManyResult",),
    "mailer.queue.shelf": ("Filter", "Shelf"),
}


def __getattr__(name: str) -> Any:
    # Import on demand: the simulator and the command line start without loading the sending side.
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
