"""A producer over the session's Valkey with a separate account, and a view of the enqueued messages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis

from mailer.mail.message import Message
from mailer.producer.producer import Producer
from mailer.queue.keys import Keys
from mailer.queue.payload import decode
from mailer.queue.queue import Queue
from mailer.settings import Settings


@dataclass
class Account:
    """The data of one account in Redis."""

    client: redis.Redis
    keys: Keys
    queue: Queue

    def envelopes(self, lane: str) -> list[dict[str, Any]]:
        """The envelopes of a lane, oldest first."""
        return [json.loads(raw) for raw in reversed(self.client.lrange(self.keys.lane(lane), 0, -1))]

    def messages(self, lane: str) -> list[Message]:
        """The messages of a lane, decoded as a worker decodes them."""
        return [
            decode(
                json.loads(envelope["body"])[1],
                self.queue.content,
                message_id=envelope["headers"]["id"],
                content_hash=envelope["headers"].get("mailer_content"),
            )
            for envelope in self.envelopes(lane)
        ]

    def is_untouched(self) -> bool:
        return not list(self.client.scan_iter(match=self.keys.pattern))


@pytest.fixture
def account(client: redis.Redis, settings: Settings) -> Account:
    keys = Keys.of(settings)
    return Account(client, keys, Queue(client, keys))


@pytest.fixture
def producer(account: Account) -> Iterator[Producer]:
    with Producer(account.queue) as producer:
        yield producer
