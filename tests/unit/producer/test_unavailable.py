"""A clear error or an accepted message: what a producer is told while Redis is away, slow or refuses."""

from __future__ import annotations

import pickle
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from mailer.errors import QueueUnavailable
from mailer.producer.producer import Producer
from mailer.queue.connection import connect
from mailer.queue.keys import Keys
from mailer.queue.queue import Queue
from mailer.queue.session import Session
from mailer.settings import load
from mailer.testbed.valkey import Valkey
from tests.unit.producer.conftest import Account

LETTER: dict[str, Any] = {"sender": "Shop <shop@example.com>", "subject": "Hello", "text": "Hello."}


@pytest.fixture
def account(server: Valkey) -> Iterator[Account]:
    settings = load(redis_url=server.url, redis_timeout_seconds=4)
    keys, client = Keys.of(settings), connect(settings)
    yield Account(connect(load(redis_url=server.url)), keys, Queue(client, keys))
    client.close()


@pytest.fixture
def producer(account: Account) -> Producer:
    return Producer(account.queue)


def refused(producer: Producer, **changes: Any) -> QueueUnavailable:
    with pytest.raises(QueueUnavailable) as caught:
        producer.send(to="jane@example.com", **LETTER | changes)
    return caught.value


def test_without_a_connection_nothing_was_enqueued(producer: Producer, server: Valkey) -> None:
    server.stop()
    for _ in range(2):
        error = refused(producer)
        assert error.enqueued is False
        assert "Nothing was enqueued" in str(error)
    server.start()


def test_a_connection_that_was_cut_before_is_made_anew(producer: Producer, server: Valkey, account: Account) -> None:
    producer.send(to="jane@example.com", **LETTER)
    server.stop()
    server.start()
    producer.send(to="jane@example.com", **LETTER)
    assert len(account.envelopes("transactional")) == 1


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), "maxmemory"),
        (("REPLICAOF", "127.0.0.1", "1"), "read only"),
        (("ACL", "SETUSER", "default", "-evalsha"), "evalsha"),
        (("CONFIG", "SET", "requirepass", "secret"), "uthentication"),
    ],
)
def test_what_redis_refuses_was_not_enqueued(
    producer: Producer, account: Account, server: Valkey, trouble: tuple[str, ...], words: str
) -> None:
    account.client.execute_command(*trouble)
    producer.queue.client.close()
    error = refused(producer)
    assert error.enqueued is False
    assert words in str(error)


def test_a_message_that_redis_has_is_not_denied_because_its_replicas_are_not_counted(server: Valkey) -> None:
    with connect(load(redis_url=server.url)) as person:
        person.acl_setuser("shop", enabled=True, passwords=["+x"], keys=["*"], categories=["+@all"], commands=["-wait"])
        settings = load(redis_url=server.url.replace("//", "//shop:x@"), redis_replicas=1)
        with Producer.of(settings) as producer:
            error = refused(producer)
            assert error.enqueued is None
            assert "'wait'" in str(error)
            assert "Nothing was enqueued" not in str(error)
            assert person.llen(Keys.of(settings).lane("transactional")) == 1


def test_a_lost_answer_is_not_known_and_is_asked_for_once(producer: Producer, account: Account, server: Valkey) -> None:
    producer.send(to="warm@example.com", **LETTER)
    server.send_signal(signal.SIGSTOP)
    try:
        error = refused(producer)
    finally:
        server.send_signal(signal.SIGCONT)
    assert error.enqueued is None
    assert "not known" in str(error)
    assert "idempotency_key" in str(error)
    account.client.ping()
    assert len(account.envelopes("transactional")) == 2, "it was, and not twice"
    # The connection that an answer may still come on is not used again.
    producer.send(to="next@example.com", **LETTER)
    assert [message.recipient.header for message in account.messages("transactional")] == [
        "warm@example.com",
        "jane@example.com",
        "next@example.com",
    ]


def test_repeating_under_a_key_enqueues_once(producer: Producer, account: Account, server: Valkey) -> None:
    producer.send(to="warm@example.com", **LETTER)
    server.send_signal(signal.SIGSTOP)
    try:
        assert refused(producer, idempotency_key="order-7").enqueued is None
    finally:
        server.send_signal(signal.SIGCONT)
    account.client.ping()
    again = producer.send(to="jane@example.com", **LETTER, idempotency_key="order-7")
    assert [each["headers"]["id"] for each in account.envelopes("transactional")][1:] == [again]


def test_a_send_many_that_breaks_off_says_that_part_of_it_is_in(
    producer: Producer, account: Account, server: Valkey
) -> None:
    def rows() -> Iterator[str]:
        for number in range(600):
            if number == 400:
                server.stop()
            yield f"{number}@example.com"

    with pytest.raises(QueueUnavailable) as caught:
        producer.send_many(rows(), **LETTER, on_invalid="skip")
    assert caught.value.enqueued is None
    assert "256 messages" in caught.value.__notes__[0]
    server.start()


def test_the_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(QueueUnavailable("text", enqueued=None)))  # noqa: S301 - our own
    assert (str(error), error.enqueued) == ("text", None)


def test_a_redis_that_kills_connections_all_the_time_never_doubles_nor_lies(
    producer: Producer, account: Account, server: Valkey
) -> None:
    over = threading.Event()

    def kill() -> None:
        killer = connect(load(redis_url=server.url))
        while not over.is_set():
            killer.client_kill_filter(_type="normal", skipme=True)
        killer.close()

    outcomes: dict[str, bool | None] = {}
    thread = threading.Thread(target=kill)
    thread.start()
    try:
        for number in range(400):
            to = f"{number}@example.com"
            try:
                producer.send(to=to, **LETTER)
                outcomes[to] = True
            except QueueUnavailable as error:
                outcomes[to] = error.enqueued
    finally:
        over.set()
        thread.join()
    enqueued = [
        message.recipient.header
        for message in Account(connect(load(redis_url=server.url)), account.keys, account.queue).messages(
            "transactional"
        )
    ]
    assert len(enqueued) == len(set(enqueued))
    assert {to for to, outcome in outcomes.items() if outcome} <= set(enqueued)
    assert not {to for to, outcome in outcomes.items() if outcome is False} & set(enqueued)


def test_an_answer_that_an_interrupted_send_left_behind_is_given_to_nobody(account: Account) -> None:
    def interrupted(session: Session) -> None:
        # Answered in a moment, when another command has long been sent.
        session._connection.send_command("BLPOP", "nothing", 0.2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), account.queue.session() as session:
        interrupted(session)
    with account.queue.session() as session:
        assert session.ask("ECHO", "mine") == b"mine"
