"""A channel's end, in the middle of a call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kombu import Connection, Consumer, Exchange, Queue

from mailer.broker import transport  # noqa: F401 - registers the transport with kombu
from mailer.worker.app import configuration
from tests.broker.conftest import Account
from tests.worker.conftest import until

LEASE_SECONDS = 2.0


@pytest.fixture
def channel(account: Account) -> Iterator[Any]:
    """A channel that consumes a lane; what it is given goes nowhere."""
    chosen = configuration(account.settings.model_copy(update={"lease_seconds": LEASE_SECONDS}))
    connection = Connection(
        chosen["broker_url"], transport=chosen["broker_transport"], transport_options=chosen["broker_transport_options"]
    )
    channel = connection.channel()
    consumer = Consumer(channel, [Queue("bulk", Exchange("bulk"), routing_key="bulk")], on_message=lambda _: None)
    consumer.qos(prefetch_count=8)
    consumer.consume()
    yield channel
    connection.release()


def turn(channel: Any) -> None:
    channel.keep_gate_registered(channel.connection.cycle)
    channel.gate.turn()


def test_a_channel_that_closes_gives_back_what_its_last_call_brought(account: Account, channel: Any) -> None:
    turn(channel)
    while not channel.leases.knows_the_time:
        channel.gate.read_take()
    ids = account.put("bulk", 3)
    turn(channel)
    until(lambda: account.client.zcard(account.keys.leases) == 3, "the call is carried out")
    leases = channel.leases
    channel.close()
    assert account.client.zcard(account.keys.leases) == 0
    assert leases.in_flight == 0
    assert account.whereabouts() == list(reversed(ids))


def test_a_channel_that_has_neither_room_nor_news_calls_so_often_that_redis_knows_it_is_there(
    account: Account, channel: Any
) -> None:
    account.put("bulk", 8)
    seen = set()

    def called_again() -> bool:
        turn(channel)
        if channel.gate.due_in == channel.gate._answer_seconds:
            channel.gate.read_take()
        if channel.room() == 0:
            seen.add(account.field("seen"))
        return len(seen) > 2

    until(called_again, "it calls again and again")
