"""SNS's signed envelope around an event, as its HTTPS subscribers and non-raw queues get it."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING
from uuid import UUID

from mailer.simulator.events.event import ACCOUNT, timestamp

if TYPE_CHECKING:
    from random import Random

    from mailer.simulator.events.signer import Signer

SUBJECT = "Amazon SES Email Event Notification"
VALIDATED = "Successfully validated SNS topic for Amazon SES event publishing."
"""SES publishes this when an event destination is made: plain text where all other messages are JSON."""

_SIGNED_OF_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_SIGNED_OF_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


class Sns:
    """Writes and signs envelopes. ``url`` is the simulator's address, set once it listens."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.url = ""

    @cached_property
    def signer(self) -> Signer:
        # cryptography takes a tenth of a second to import; a queue with raw messages does not need it.
        from mailer.simulator.events.signer import Signer  # noqa: PLC0415

        return Signer()

    def topic(self, region: str, name: str) -> str:
        return f"arn:aws:sns:{region}:{ACCOUNT}:{name}"

    def notification(
        self, topic: str, subscription: str, message_id: str, message: str, subject: str | None, at: float, version: str
    ) -> dict[str, str]:
        unsubscribe = f"{self.url}/_sim/sns?Action=Unsubscribe&SubscriptionArn={subscription}"
        return self._signed(
            {
                "Type": "Notification",
                "MessageId": message_id,
                "TopicArn": topic,
                **({} if subject is None else {"Subject": subject}),
                "Message": message,
                "Timestamp": timestamp(at),
                "SignatureVersion": version,
            },
            _SIGNED_OF_NOTIFICATION,
        ) | {"UnsubscribeURL": unsubscribe}

    def confirmation(self, topic: str, message_id: str, token: str, at: float, version: str) -> dict[str, str]:
        return self._signed(
            {
                "Type": "SubscriptionConfirmation",
                "MessageId": message_id,
                "Token": token,
                "TopicArn": topic,
                "Message": f"You have chosen to subscribe to the topic {topic}.\n"
                "To confirm the subscription, visit the SubscribeURL included in this message.",
                "SubscribeURL": f"{self.url}/_sim/sns?Action=ConfirmSubscription&TopicArn={topic}&Token={token}",
                "Timestamp": timestamp(at),
                "SignatureVersion": version,
            },
            _SIGNED_OF_CONFIRMATION,
        )

    def uuid(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))

    def token(self) -> str:
        return f"{self._random.getrandbits(1024):0256x}"

    def _signed(self, envelope: dict[str, str], names: tuple[str, ...]) -> dict[str, str]:
        text = "".join(f"{name}\n{envelope[name]}\n" for name in names if name in envelope)
        signature = self.signer.sign(text, envelope["SignatureVersion"])
        return envelope | {"Signature": signature, "SigningCertURL": f"{self.url}/_sim/sns/{self.signer.name}"}


def body(envelope: dict[str, str]) -> str:
    """The envelope as SNS posts it: one field per line."""
    return json.dumps(envelope, indent=2)
