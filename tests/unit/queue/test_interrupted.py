"""Scripts that Redis breaks off: any command may be refused, and what ran before it is not rolled back."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import redis

from mailer.errors import QueueUnavailable
from mailer.queue.keys import Keys
from mailer.queue.queue import Entry
from mailer.queue.script import script
from mailer.settings import Settings, load
from mailer.testbed.valkey import Valkey
from ops.lint_lua import parts_of
from tests.support.account import LANES, Account, Worker, envelope
from tests.support.clock import Still
from tests.unit.queue.faults import GARBAGE, LUA, SCRIPTS, USERS, Load, User, commands_of, foreign, full, keys_of

pytestmark = pytest.mark.usefixtures("still")
_accounts = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """One that may be filled up."""
    with Valkey(tmp_path_factory.mktemp("valkey"), "--maxmemory-policy", "noeviction") as valkey:
        yield valkey


@pytest.fixture
def client(server: Valkey) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url) as found:
        found.flushall()
        yield found


@pytest.fixture
def settings(server: Valkey) -> Settings:
    return load(redis_url=server.url, account=f"test-{next(_accounts)}", rate_per_second=1000, quota_per_day=-1)


@pytest.fixture
def users(account: Account) -> Iterator[dict[str, User]]:
    found = {name: User(account, name) for name in USERS}
    yield found
    for user in found.values():
        user.close()


def taken(worker: Worker, wanted: int) -> dict[str, str]:
    try:
        return worker.take(wanted)
    except redis.exceptions.ResponseError:
        return {}


def test_what_cannot_be_leased_stays_in_its_lane(users: dict[str, User]) -> None:
    account = users["worker"].account
    ids = account.put("bulk", 5)
    worker = Worker(account)
    with users["worker"].without("hset"):
        assert taken(worker, 5) == {}
    assert sorted(account.whereabouts()) == sorted(ids)
    assert list(worker.take(5).values()) == ids


def test_messages_that_cannot_be_kept_for_a_worker_have_no_lease_either(account: Account, worker: Worker) -> None:
    ids = account.put("bulk", 5)
    with foreign(account.client, account.keys.leased):
        assert taken(worker, 5) == {}
        assert account.client.zcard(account.keys.leases) == 0
    assert list(worker.take(5).values()) == ids


def test_a_hand_written_entry_in_the_schedule_holds_up_none_of_the_others(account: Account, worker: Worker) -> None:
    ids = account.put("bulk", 10, due_in=60)
    account.client.zadd(account.keys.schedule, {"garbage": 0})
    account.make_due()
    assert sorted(taken(worker, 20).values()) == sorted(ids)
    assert [value.rsplit(b"\n", 1)[-1] for value in account.raw(account.keys.aside("dead"))] == [b"garbage"]


def test_rejected_mail_waits_where_the_dead_letters_cannot_be_written(
    account: Account, worker: Worker, still: Still
) -> None:
    ids = account.put("transactional", 5)
    fine = account.put("bulk", 5)
    tags = worker.take(10)
    account.client.set(account.keys.aside("dead"), "not a hash")
    for tag, message_id in tags.items():
        worker.settle_later(tag, "dead" if message_id in ids else "sent", "MessageRejected", "No.")
    taken(worker, 0)
    assert sorted(account.whereabouts_of(account.keys.leased)) == sorted(ids)
    assert not set(fine) & set(account.whereabouts_of(account.keys.leased))
    account.client.delete(account.keys.aside("dead"))
    still.advance(2)
    taken(worker, 0)
    assert sorted(account.aside("dead")) == sorted(ids)


def test_what_was_not_enqueued_can_be_sent_again_under_the_same_key(users: dict[str, User]) -> None:
    account = users["producer"].account
    entry = Entry("one", envelope("one"), idempotency="k")
    with users["producer"].without("lpush"), pytest.raises(QueueUnavailable) as refused:
        account.queue.put("bulk", [entry])
    assert refused.value.enqueued is False
    assert account.queue.put("bulk", [Entry("two", envelope("two"), idempotency="k")]) == ["two"]
    assert account.whereabouts() == ["two"]


# The matrix: each thing that can stand in a script's way, with a little of everything running.


@pytest.mark.parametrize(("name", "command"), [(name, each) for name in USERS for each in commands_of(name)])
def test_a_command_is_refused(account: Account, still: Still, users: dict[str, User], name: str, command: str) -> None:
    load = Load(account, still, users)
    load.prepare()
    with users[name].without(command):
        load.run()
    load.flow()
    load.check()


def test_every_part_stands_in_a_script() -> None:
    parts = {part for name in SCRIPTS for _, part, _ in parts_of(LUA / f"{name}.lua")}
    assert parts == set((LUA / "parts").iterdir())


@pytest.mark.parametrize("place", keys_of(Keys("x{y}:")))
def test_a_key_is_of_a_foreign_type(account: Account, still: Still, users: dict[str, User], place: str) -> None:
    load = Load(account, still, users)
    load.prepare()
    with foreign(account.client, keys_of(account.keys)[place]):
        load.run()
    load.flow()
    load.check()


def test_redis_is_full(account: Account, still: Still, users: dict[str, User]) -> None:
    load = Load(account, still, users)
    load.prepare()
    with full(account.client):
        load.run()
    load.flow()
    load.check()


def test_nothing_stands_in_the_way_and_every_script_runs(
    account: Account, still: Still, users: dict[str, User], client: redis.Redis
) -> None:
    load = Load(account, still, users)
    load.prepare()
    client.script_flush()
    load.run()
    assert [name for name in SCRIPTS if not client.script_exists(script(name).sha)[0]] == []
    load.flow()
    load.check()


@pytest.mark.parametrize(
    "place",
    [
        name
        for name in keys_of(Keys("x{y}:"))
        if name not in ("content", "durable") and not name.startswith(("doorbell", "suspects", "large"))
    ],
)
def test_there_is_garbage_in_the_structure(account: Account, still: Still, users: dict[str, User], place: str) -> None:
    load = Load(account, still, users)
    load.prepare()
    spoil(account, place)
    load.run()
    load.flow()
    load.check()


def spoil(account: Account, place: str) -> None:
    """Garbage beside what is there, and in place of what is no mail."""
    client, key = account.client, keys_of(account.keys)[place]
    kind = client.type(key)
    if place in (*LANES, "low"):
        client.rpush(key, GARBAGE)
    elif place == "schedule_number":
        client.set(key, GARBAGE)
    elif kind == b"zset" or place in ("leases", "schedule", "dead-index", "held-index"):
        client.zadd(key, {GARBAGE: 0})
    elif place in ("leased", "dead", "held"):
        client.hset(key, "garbage", GARBAGE)
        if place == "leased":
            client.zadd(account.keys.leases, {"garbage": 0})
    else:
        for field in client.hkeys(key):
            client.hset(key, field, GARBAGE)
        client.hset(key, GARBAGE, GARBAGE)
