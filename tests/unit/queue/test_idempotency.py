"""Idempotency keys: what was let go of unsent frees its own, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mailer.operations.history import histories_to, history_of
from mailer.producer.producer import Producer
from mailer.queue.keys import LOWER_PRIORITIES, PRIORITY_SEPARATOR
from mailer.queue.move import purge
from mailer.queue.shelf import Filter, Shelf, ShelfName
from tests.support.account import LANES, Account, Worker, envelope

LETTER: dict[str, Any] = {"sender": "Shop <shop@example.com>", "subject": "Hello", "text": "Hello."}
REFUSED = ("MessageRejected", "Email address is not verified.")

Way = Callable[[Account, Worker], None]


def send(account: Account, **more: Any) -> str:
    return Producer(account.queue, LANES).send(to="jane@example.com", idempotency_key="order-7", **LETTER | more)


def drop(account: Account, name: ShelfName) -> None:
    assert Shelf(account.queue, name, LANES).drop(Filter()).dropped == 1


def purged(account: Account, worker: Worker) -> None:
    assert purge(account.client, account.keys, "transactional") == 1


def expired(account: Account, worker: Worker) -> None:
    (tag,) = worker.take(1)
    worker.settle(tag, "forget")


def rejected_and_dropped(account: Account, worker: Worker) -> None:
    (tag,) = worker.take(1)
    worker.settle(tag, "dead", *REFUSED)
    drop(account, "dead")


@pytest.mark.parametrize("way", [purged, expired, rejected_and_dropped])
def test_what_was_let_go_of_unsent_is_sent_under_its_key_once_more(account: Account, worker: Worker, way: Way) -> None:
    first = send(account)
    assert send(account) == first
    way(account, worker)
    second = send(account)
    assert second != first
    assert send(account) == second
    assert account.whereabouts() == [second]


def test_what_was_dropped_from_the_schedule_is_sent_under_its_key_once_more(account: Account) -> None:
    first = send(account, send_at=datetime.now(UTC) + timedelta(hours=1))
    drop(account, "scheduled")
    assert send(account) != first


def test_rows_of_a_purged_import_are_accepted_again(account: Account) -> None:
    rows = [{"to": f"{number}@example.com", "idempotency_key": "spring"} for number in range(600)]
    producer = Producer(account.queue, LANES)
    assert producer.send_many(rows, **LETTER).accepted == 600
    assert purge(account.client, account.keys, "bulk") == 600
    again = producer.send_many(rows, **LETTER | {"subject": "Corrected"})
    assert (again.accepted, again.duplicates) == (600, 0)
    assert account.client.hlen(account.keys.content) == 1


def sent(account: Account, worker: Worker) -> None:
    (tag,) = worker.take(1)
    worker.settle(tag, "sent")


def rejected(account: Account, worker: Worker) -> None:
    (tag,) = worker.take(1)
    worker.settle(tag, "dead", *REFUSED)


def held_and_dropped(account: Account, worker: Worker) -> None:
    (tag,) = worker.take(1)
    worker.settle(tag, "hold", "ReadTimeout", "no answer")
    drop(account, "held")


def held_then_requeued_and_purged(account: Account, worker: Worker) -> None:
    (tag,) = worker.take(1)
    worker.settle(tag, "hold", "ReadTimeout", "no answer")
    assert Shelf(account.queue, "held", LANES).requeue(Filter()).moved == 1
    purged(account, worker)


def held_then_requeued_then_rejected_and_dropped(account: Account, worker: Worker) -> None:
    (tag,) = worker.take(1)
    worker.settle(tag, "hold", "ReadTimeout", "no answer")
    assert Shelf(account.queue, "held", LANES).requeue(Filter()).moved == 1
    rejected_and_dropped(account, worker)


def lost_with_its_worker_and_purged(account: Account, worker: Worker) -> None:
    worker.take(1)
    account.end_leases()
    worker.take(0)
    assert purge(account.client, account.keys, "transactional") == 1


def lost_with_its_worker_then_rejected_and_dropped(account: Account, worker: Worker) -> None:
    worker.take(1)
    account.end_leases()
    rejected_and_dropped(account, worker)


@pytest.mark.parametrize(
    "way",
    [
        sent,
        rejected,
        held_and_dropped,
        held_then_requeued_and_purged,
        held_then_requeued_then_rejected_and_dropped,
        lost_with_its_worker_and_purged,
        lost_with_its_worker_then_rejected_and_dropped,
    ],
)
def test_what_was_or_may_be_sent_keeps_its_key(account: Account, worker: Worker, way: Way) -> None:
    first = send(account)
    way(account, worker)
    assert send(account) == first


def test_a_key_that_is_another_message_s_by_now_stays(account: Account, worker: Worker) -> None:
    send(account)
    (key,) = account.client.scan_iter(account.keys.idempotency("*"))
    # Its day was over, and another was sent under it.
    account.client.set(key, "another")
    purged(account, worker)
    assert account.client.get(key) == b"another"


def test_find_and_show_agree_on_what_was_purged(account: Account, worker: Worker) -> None:
    account.put("bulk")
    (tag,) = worker.take(1)
    worker.settle(tag, "sent", note="of another\t\t\t\t\t\t\t")  # from here on there are records
    message_id = send(account)
    purged(account, worker)
    shown = history_of(account.client, account.settings, message_id)
    assert shown is not None
    assert shown.state == "dropped"
    (found,) = histories_to(account.client, account.settings, "Jane@Example.com")
    assert found.told == shown.told


def test_purging_takes_the_lower_priorities_of_stock_celery_and_what_is_no_message(account: Account) -> None:
    lane = account.keys.lane("bulk")
    for step in LOWER_PRIORITIES:
        account.client.lpush(f"{lane}{PRIORITY_SEPARATOR}{step}", envelope(f"low-{step}"))
    account.client.lpush(lane, b"no JSON", b"\xff\x00", envelope("a"), envelope("b"))
    assert purge(account.client, account.keys, "bulk") == len(LOWER_PRIORITIES) + 4
    assert not list(account.client.scan_iter(f"{lane}*"))


def test_purging_leaves_what_a_worker_has_taken(account: Account, worker: Worker) -> None:
    account.put("bulk", 600)
    taken = worker.take(3)
    assert purge(account.client, account.keys, "bulk") == 597
    assert sorted(account.whereabouts()) == sorted(taken.values())
