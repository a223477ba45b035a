"""The producer that a command sends through. Apart from `account`, since it takes a while to import."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mailer.cli.account import open_redis
from mailer.producer import Producer
from mailer.queue.keys import Keys
from mailer.queue.queue import Queue


@contextmanager
def open_producer() -> Iterator[Producer]:
    """A producer of the account that the environment names."""
    with open_redis() as (client, settings):
        yield Producer(Queue(client, Keys.of(settings), settings.redis_replicas), settings.lanes)
