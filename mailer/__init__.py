"""Send mail through Amazon SES from many machines, at exactly the rate the account allows."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    "Attachment": "mailer.mail.attachment",
    "Filter": "mailer.queue.shelf",
    "InvalidMessage": "mailer.errors",
    "InvalidRequest": "mailer.errors",
    "MailerError": "mailer.errors",
    "NotFound": "mailer.errors",
    "NotOnDisk": "mailer.errors",
    "Producer": "mailer.producer.producer",
    "QueueUnavailable": "mailer.errors",
    "Recipient": "mailer.mail.recipient",
    "SendManyResult": "mailer.producer.send_many",
    "SettingsError": "mailer.errors",
    "Shelf": "mailer.queue.shelf",
    "UnknownLane": "mailer.errors",
    "Unwritable": "mailer.errors",
    "configure": "mailer.producer.producer",
    "dead": "mailer.operations.commands",
    "held": "mailer.operations.commands",
    "pause": "mailer.operations.commands",
    "rate": "mailer.operations.commands",
    "resume": "mailer.operations.commands",
    "scheduled": "mailer.operations.commands",
    "send": "mailer.producer.producer",
    "send_many": "mailer.producer.producer",
    "send_raw": "mailer.producer.producer",
}


def __getattr__(name: str) -> Any:
    # Import on demand: the simulator and the command line start without loading the sending side.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
