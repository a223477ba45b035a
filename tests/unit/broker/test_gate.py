"""A channel's end, in the middle of a call."""

from __future__ import annotations

import json
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from kombu import Connection, Consumer, Exchange, Queue

from mailer.broker import transport  # noqa: F401 - registers the transport with kombu
from mailer.queue.queue import ring
from mailer.queue.settlement import Settlement
from mailer.testbed.waiting import until
from mailer.worker.app import configuration
from tests.support.account import Account

LEASE_SECONDS = 2.0


@contextmanager
def consuming(account: Account, lane: str) -> Iterator[Any]:
    """A channel that consumes a lane; what it is given goes nowhere."""
    chosen = configuration(account.settings.model_copy(update={"lease_seconds": LEASE_SECONDS}))
    connection = Connection(
        chosen["broker_url"], transport=chosen["broker_transport"], transport_options=chosen["broker_transport_options"]
    )
    channel = connection.channel()
    consumer = Consumer(channel, [Queue(lane, Exchange(lane), routing_key=lane)], on_message=lambda _: None)
    consumer.qos(prefetch_count=8)
    consumer.consume()
    yield channel
    connection.release()


@pytest.fixture
def channel(account: Account) -> Iterator[Any]:
    with consuming(account, "bulk") as channel:
        yield channel


def listen(account: Account, channel: Any, listeners: int = 1) -> None:
    """Have it ask until it is idle, and Redis knows that it listens."""

    def listens() -> bool:
        asked(account, channel)
        return blocked(account) == listeners

    until(listens, "Redis knows that it listens")


def turn(channel: Any) -> None:
    channel.keep_gate_registered(channel.connection.cycle)
    channel.gate.turn()


def test_a_channel_that_closes_gives_back_what_its_last_call_brought(account: Account, channel: Any) -> None:
    turn(channel)
    while channel.leases.redis_time() is None:
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
        asked(account, channel)
        if channel.room() == 0:
            seen.add(account.field("seen"))
        return len(seen) > 2

    until(called_again, "it calls again and again")


@pytest.mark.parametrize(("decided", "becomes"), [(None, "held"), (Settlement("sent", "m"), "gone")])
def test_mail_that_is_acknowledged_before_its_outcome_is_known_is_held(
    account: Account, channel: Any, decided: Settlement | None, becomes: str
) -> None:
    headers = {"task": "mailer.send", "id": "m"}
    encoding = {"content-type": "application/json", "content-encoding": "utf-8"}
    envelope = {"body": "[[], {}, {}]", "headers": headers, "properties": {}, **encoding}
    account.client.lpush(account.keys.lane("bulk"), json.dumps(envelope))
    leases = channel.leases

    def taken() -> bool:
        asked(account, channel)
        return bool(leases.in_flight == 1)

    until(taken, "it is taken")
    (tag,) = account.raw(account.keys.leases)
    if decided is not None:
        leases.decide(tag.decode(), decided)
    channel.qos.ack(tag.decode())
    channel.gate.flush()
    assert account.client.zcard(account.keys.leases) == 0
    held = account.aside("held")
    assert ([held[name]["code"] for name in held] == ["Undecided"]) is (becomes == "held")


def test_a_ring_for_a_lane_is_heard_where_that_lane_is_served_and_nowhere_else(account: Account, channel: Any) -> None:
    # Who began to listen first is whom Redis wakes first.
    listen(account, channel)
    with consuming(account, "transactional") as urgent:
        listen(account, urgent, listeners=2)
        account.put("transactional", 1)
        assert urgent.bell_client.connection.can_read(timeout=30)
        urgent.gate.read_bell()
        assert urgent.gate.due_in == 0
        assert not channel.bell_client.connection.can_read(timeout=0)


def test_a_ring_that_comes_when_there_is_no_room_any_more_is_passed_on(account: Account, channel: Any) -> None:
    listen(account, channel)
    ring(account.client, [account.keys.doorbell("bulk")])
    assert channel.bell_client.connection.can_read(timeout=30)
    channel.leases.fitness.rest(60)
    channel.gate.read_bell()
    assert account.client.llen(account.keys.doorbell("bulk")) == 1


def test_a_ring_of_many_bytes_is_not_read(account: Account, channel: Any) -> None:
    listen(account, channel)
    account.client.lpush(account.keys.doorbell("bulk"), b"x" * 10_000_000)
    bell = channel.bell_client.connection
    assert select.select([bell._sock], [], [], 30)[0]
    with pytest.raises(redis.exceptions.ConnectionError, match="doorbell"):
        channel.gate.read_bell()
    assert bell._sock is None
    assert account.client.llen(account.keys.doorbell("bulk")) == 0


def test_a_ring_that_a_host_in_doubt_still_hears_is_passed_on(account: Account, channel: Any) -> None:
    listen(account, channel)
    channel.leases.fitness.failed(time.monotonic())
    until(lambda: not channel.leases.fitness.rests, "its rest is over")
    until(lambda: asked(account, channel), "it has asked again")
    account.put("bulk", 1)
    assert channel.bell_client.connection.can_read(timeout=30)
    channel.gate.read_bell()
    assert account.client.llen(account.keys.doorbell("bulk")) == 1


def test_the_end_of_another_connection_is_not_that_of_the_one_at_the_doorbell(account: Account, channel: Any) -> None:
    listen(account, channel)
    channel.gate.disconnected(object())
    turn(channel)
    until(lambda: blocked(account) == 1, "Redis knows that it listens")
    ring(account.client, [account.keys.doorbell("bulk")])
    ring(account.client, [account.keys.doorbell("bulk")])
    until(lambda: blocked(account) == 0, "it has heard one of them and asked for no other")
    assert account.client.llen(account.keys.doorbell("bulk")) == 1


def asked(account: Account, channel: Any) -> bool:
    """One call more is answered."""
    turn(channel)
    if channel.gate.due_in != account.settings.answer_seconds:
        return False
    channel.gate.read_take()
    return True


def blocked(account: Account) -> int:
    """How many connections wait for one of the account's doorbells."""
    listed = account.client.client_list()
    return sum(1 for each in listed if each["cmd"] == "blpop" and "b" in each["flags"])
