"""A channel's end, in the middle of a call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from kombu import Connection, Consumer, Exchange, Queue

from mailer.broker import transport  # noqa: F401 - registers the transport with kombu
from mailer.broker.leases import Settlement
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


@pytest.mark.parametrize(
    ("task", "decided", "becomes"),
    [
        ("mailer.send", None, "held"),
        ("mailer.send", Settlement("sent", "m"), "gone"),
        ("another.task", None, "gone"),
    ],
)
def test_mail_that_is_acknowledged_before_its_outcome_is_known_is_held(
    account: Account, channel: Any, task: str, decided: Settlement | None, becomes: str
) -> None:
    envelope = {"body": "[[], {}, {}]", "headers": {"task": task, "id": "m"}, "properties": {"delivery_info": {}}}
    account.client.lpush(account.keys.lane("bulk"), json.dumps(envelope))
    leases = channel.leases

    def taken() -> bool:
        turn(channel)
        if channel.gate.due_in == channel.gate._answer_seconds:
            channel.gate.read_take()
        return leases.in_flight == 1

    until(taken, "it is taken")
    (tag,) = account.client.hkeys(account.keys.leased)  # type: ignore[misc]
    if decided is not None:
        leases.decide(tag.decode(), decided)
    channel.qos.ack(tag.decode())
    channel.gate.flush()
    assert account.client.zcard(account.keys.leases) == 0
    held = account.aside("held")
    assert ([held[name]["code"] for name in held] == ["Undecided"]) is (becomes == "held")
