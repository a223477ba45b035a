"""Scripts that Redis breaks off: any command may be refused, and what ran before it is not rolled back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from mailer.broker.connection import connect
from mailer.broker.queue import Entry, Queue
from mailer.errors import QueueUnavailable
from tests.broker.clock import Still
from tests.broker.conftest import Account, Worker, envelope

pytestmark = pytest.mark.usefixtures("still")
RIGHTS = ("+@all", "-@admin", "-@dangerous", "+info")


class Restricted:
    """The same account, through a user of its own from whom rights can be taken."""

    def __init__(self, account: Account) -> None:
        self.admin = account
        self.user = f"user-{account.settings.account}"
        self.allow()
        url = account.settings.redis_url.get_secret_value()  # type: ignore[union-attr]
        settings = account.settings.model_copy(
            update={"redis_url": type(account.settings.redis_url)(url.replace("redis://", f"redis://{self.user}:x@"))}
        )
        self.account = Account(settings)

    def allow(self, *more: str) -> None:
        self.admin.client.execute_command("ACL", "SETUSER", self.user, "reset", "on", ">x", "~*", "&*", *RIGHTS, *more)

    @contextmanager
    def without(self, *commands: str) -> Iterator[None]:
        self.allow(*(f"-{command}" for command in commands))
        try:
            yield
        finally:
            self.allow()


@pytest.fixture
def restricted(account: Account) -> Iterator[Restricted]:
    found = Restricted(account)
    yield found
    found.account.client.close()
    account.client.execute_command("ACL", "DELUSER", found.user)


def taken(worker: Worker, wanted: int) -> dict[str, str]:
    try:
        return worker.take(wanted)
    except redis.exceptions.ResponseError:
        return {}


def test_what_cannot_be_leased_stays_in_its_lane(restricted: Restricted) -> None:
    account = restricted.account
    ids = account.put("bulk", 5)
    worker = Worker(account)
    with restricted.without("hset"):
        assert taken(worker, 5) == {}
    assert sorted(account.whereabouts()) == sorted(ids)
    assert list(worker.take(5).values()) == ids


def test_a_hand_written_entry_in_the_schedule_holds_up_none_of_the_others(account: Account, worker: Worker) -> None:
    ids = account.put("bulk", 10, due_in=60)
    account.client.zadd(account.keys.schedule, {"garbage": 0})
    account.make_due()
    assert sorted(taken(worker, 20).values()) == sorted(ids)
    assert [value.rsplit(b"\n", 1)[-1] for value in account.client.hvals(account.keys.aside("dead"))] == [b"garbage"]


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


def test_what_was_not_enqueued_can_be_sent_again_under_the_same_key(restricted: Restricted) -> None:
    account = restricted.account
    queue = Queue(connect(account.settings), account.keys)
    entry = Entry("one", envelope("one"), idempotency="k")
    with restricted.without("lpush"), pytest.raises(QueueUnavailable) as refused:
        queue.put("bulk", [entry])
    assert refused.value.enqueued is False
    assert queue.put("bulk", [Entry("two", envelope("two"), idempotency="k")]) == ["two"]
    assert account.whereabouts() == ["two"]
