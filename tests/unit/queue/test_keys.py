"""Keys: nobody who names a queue names what controls the account."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import kombu
import pytest
import redis
from celery import Celery
from kombu.exceptions import OperationalError
from kombu.transport.redis import Channel
from pydantic import SecretStr

from mailer.doctor import queue
from mailer.errors import QueueUnavailable, SettingsError
from mailer.operations.status import read_status
from mailer.producer.producer import Producer
from mailer.queue.queue import Entry
from mailer.settings import load
from mailer.worker.app import configuration
from tests.support.account import Account, Worker, envelope, producers_rights


def control_keys(account: Account) -> set[str]:
    keys = account.keys
    named = set(vars(keys).values())
    shelves = {name for shelf in ("dead", "held") for name in (keys.aside(shelf), keys.aside_index(shelf))}
    return (named - {keys.prefix, keys.pattern}) | shelves | {keys.records_in(1, "0"), keys.idempotency("0")}


def test_no_queue_of_stock_celery_spells_a_control_key(account: Account) -> None:
    assert len(control_keys(account)) > 15
    assert not [key for key in control_keys(account) if key.startswith(account.keys.prefix)]


def test_a_queue_named_like_a_control_key_stops_nobody(account: Account, worker: Worker) -> None:
    ids = account.put("bulk", 3)
    with Celery("foreign", broker=account.settings.redis_url.get_secret_value(), set_as_current=False) as foreign:  # type: ignore[union-attr]
        foreign.conf.broker_transport_options = {"global_keyprefix": account.keys.prefix}
        for name in ("@leases", "@account", "@schedule", "@dead-index", "@doorbell:bulk"):
            foreign.send_task("mailer.send", queue=name)
    tags = worker.take(3)
    assert list(tags.values()) == ids
    for tag in tags:
        worker.settle(tag, "dead", "MessageRejected", "No.")
    assert set(account.aside("dead")) == set(ids)


def test_a_lane_cannot_be_named_like_a_key_of_kombu() -> None:
    own = {Channel.unacked_key, Channel.unacked_index_key, Channel.unacked_mutex_key}
    for name in own:
        with pytest.raises(SettingsError, match=name):
            load(lanes=(name,))


def test_a_key_of_a_foreign_type_is_named_with_its_remedy(account: Account) -> None:
    for key in (account.keys.aside("dead"), account.keys.lane("bulk"), account.keys.account):
        account.client.set(key, "somebody else's")
        with pytest.raises(QueueUnavailable, match="is a string, and mailer keeps a") as named:
            read_status(account.client, account.settings)
        assert f"rename '{key}'" in str(named.value)
        (found,) = queue.keys(account.client, account.settings)
        assert found.text.startswith(f"{key} is a string")
        account.client.delete(key)
    assert list(queue.keys(account.client, account.settings)) == []


def test_what_is_left_of_the_old_layout_is_named(account: Account) -> None:
    account.client.hset(f"{account.keys.prefix}@account", "rate", 1)
    (found,) = queue.keys(account.client, account.settings)
    assert f"{account.keys.prefix}@account" in found.text


@pytest.mark.parametrize("refusal", ["WRONGTYPE", "NOPERM"])
def test_a_binding_that_redis_refuses_stops_no_consumer(account: Account, refusal: str) -> None:
    exchange, user = f"x-{refusal}-{account.settings.account}", f"worker-{account.settings.account}"
    url = account.settings.redis_url.get_secret_value()  # type: ignore[union-attr]
    binding = account.keys.lane(f"_kombu.binding.{exchange}")
    if refusal == "WRONGTYPE":
        account.client.set(binding, "x")
    else:
        rules = ("reset", "on", ">secret", "&*", "+@all", f"~{account.keys.lane('x-')}*", f"%R~{binding}")
        account.client.execute_command("ACL", "SETUSER", user, *rules)
        url = url.replace("redis://", f"redis://{user}:secret@")
    settings = account.settings.model_copy(update={"redis_url": SecretStr(url)})
    with Celery("bound", set_as_current=False) as app:
        app.conf.update(configuration(settings))
        with app.connection_for_read() as connection:
            queued = kombu.Queue(exchange, kombu.Exchange(exchange), routing_key=exchange)
            assert queued.bind(connection.default_channel).declare() == exchange
    account.client.execute_command("ACL", "DELUSER", user)


@pytest.fixture
def producer(account: Account) -> Iterator[Account]:
    """Through a user with no more rights than docs/operate/deploy.md gives to producers."""
    user = f"producer-{account.settings.account}"
    rights = producers_rights(account.keys)
    account.client.execute_command("ACL", "SETUSER", user, "reset", "on", ">secret", *rights)
    url = account.settings.redis_url.get_secret_value().replace("redis://", f"redis://{user}:secret@")  # type: ignore[union-attr]
    found = Account(account.settings.model_copy(update={"redis_url": SecretStr(url)}))
    yield found
    found.client.close()
    account.client.execute_command("ACL", "DELUSER", user)


def test_a_producers_user_can_enqueue(account: Account, producer: Account, worker: Worker) -> None:
    ids = producer.put("bulk", 2, content=("abc123", b"the body"))
    ids += producer.put("transactional", 1)
    producer.put("bulk", 1, due_in=60)
    keyed = Entry("keyed", envelope("keyed"), idempotency="k")
    assert producer.queue.put("bulk", [keyed]) == producer.queue.put("bulk", [keyed]) == ["keyed"]
    assert producer.queue.now()
    assert producer.client.info("replication")["role"] == "master", "asked for by durable and MAILER_REDIS_REPLICAS"
    assert sorted(worker.take(10).values()) == sorted([*ids, "keyed"])
    assert account.client.zcard(account.keys.schedule) == 1
    settings = producer.settings.redis_url.get_secret_value()  # type: ignore[union-attr]
    with Celery("foreign", broker=settings, set_as_current=False) as foreign:
        foreign.conf.broker_transport_options = {"global_keyprefix": account.keys.prefix}
        foreign.send_task("mailer.send", queue="bulk", retry=False)
    assert account.length("bulk") == 1


def test_a_producers_user_can_neither_read_nor_command(account: Account, producer: Account) -> None:
    account.put("bulk", 2, content=("abc123", b"the body"))
    keys, bulk = account.keys, account.keys.lane("bulk")
    control = (keys.account, keys.leases, keys.leased, keys.aside("dead"), keys.records, keys.quota, keys.hosts)
    forbidden = [
        *(("LRANGE", bulk, 0, -1), ("RPOP", bulk), ("DEL", bulk), ("SET", bulk, "x"), ("LTRIM", bulk, 1, 0)),
        *(("HGET", keys.content, "abc123"), ("HSET", keys.content, "abc123", "x"), ("ZRANGE", keys.schedule, 0, -1)),
        *(
            command
            for key in control
            for command in (("DEL", key), ("HSET", key, "a", 1), ("SET", key, 1), ("TYPE", key))
        ),
        ("PUBLISH", f"{keys.prefix}/0.celery.pidbox", "shutdown"),
        ("LPUSH", f"{keys.prefix}celery@host.celery.pidbox", "shutdown"),
        ("EVAL", "return redis.call('RPOP', ARGV[1])", 0, bulk),
        ("SUBSCRIBE", f"{keys.prefix}/0.celeryev"),
        ("PSUBSCRIBE", "*"),
        ("SADD", account.keys.lane("_kombu.binding.celery.pidbox"), "\x06\x16\x06\x16mine"),
        ("SMEMBERS", account.keys.lane("_kombu.binding.reply.celery.pidbox")),
        *(("CLIENT", *words) for words in (("LIST",), ("PAUSE", 1), ("KILL", "TYPE", "normal"), ("TRACKING", "on"))),
        *(("FLUSHALL",), ("KEYS", "*"), ("CONFIG", "GET", "*"), ("ACL", "LIST"), ("MONITOR",), ("SCRIPT", "FLUSH")),
    ]
    for command in forbidden:
        with pytest.raises((redis.exceptions.NoPermissionError, redis.exceptions.ResponseError), match=r"(?i)perm|acl"):
            producer.client.execute_command(*command)
    assert account.length("bulk") == 2


def test_a_producers_user_sends_in_each_way(account: Account, producer: Account) -> None:
    sends = Producer(producer.queue)
    fields: dict[str, Any] = {"sender": "a@example.com", "subject": "-", "text": "x" * 5000}
    account.client.config_set("appendonly", "yes")
    try:
        assert sends.send(to="jane@example.com", **fields, durable=True)
        rows = [{"to": f"{n}@example.com", "idempotency_key": f"k{n}"} for n in range(3)]
        assert sends.send_many(rows, **fields, durable=True).accepted == 3
    finally:
        account.client.config_set("appendonly", "no")
    assert sends.send_many(rows, **fields).duplicates == 3
    assert sends.send(to="jane@example.com", **fields, send_at=datetime.now(UTC) + timedelta(hours=1))
    assert (account.length("transactional"), account.length("bulk")) == (1, 3)


@pytest.mark.parametrize("command", ["shutdown", "cancel_consumer", "ping"])
def test_a_producers_user_can_tell_workers_nothing(account: Account, producer: Account, command: str) -> None:
    heard = account.client.pubsub()
    heard.psubscribe(f"{account.keys.prefix}*")
    assert heard.get_message(timeout=5)
    with Celery("foreign", broker=producer.settings.redis_url.get_secret_value(), set_as_current=False) as foreign:  # type: ignore[union-attr]
        foreign.conf.broker_transport_options = {"global_keyprefix": account.keys.prefix}
        with pytest.raises((redis.exceptions.NoPermissionError, OperationalError), match=r"(?i)perm"):
            foreign.control.broadcast(command, arguments={"queue": "bulk"} if command == "cancel_consumer" else {})
    assert heard.get_message(timeout=0.2) is None
    heard.close()


@pytest.mark.parametrize("prefix", ["a{b}:", "a@", "a:}", "*", "a b:", "a\n"])
def test_a_prefix_cannot_end_the_accounts_name_early(prefix: str) -> None:
    with pytest.raises(SettingsError, match="KEY_PREFIX"):
        load(key_prefix=prefix)
    with pytest.raises(SettingsError, match="ACCOUNT"):
        load(account=prefix)
