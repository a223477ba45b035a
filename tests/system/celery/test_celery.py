"""Celery stays whole: pools, foreign producers, countdowns, inspect, revoke, events."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery, signature

from mailer.operations.history import history_of
from mailer.settings import load
from mailer.testbed.waiting import until
from mailer.worker.app import configuration, create_app
from tests.support.account import Account
from tests.support.post import SENDER, Post


@pytest.fixture
def app(shared: Post) -> Iterator[Celery]:
    """An application over the same transport, as Flower and ``celery inspect`` have it."""
    shared.simulator.reset()
    app = Celery("operator", set_as_current=False)
    app.conf.update(configuration(shared.settings))
    yield app
    app.close()


@pytest.fixture
def foreign(shared: Post) -> Iterator[Celery]:
    """Somebody else's program: stock Celery, the stock transport, and the account's prefix."""
    shared.simulator.reset()
    app = Celery("foreign", broker=shared.settings.redis_url.get_secret_value(), set_as_current=False)  # type: ignore[union-attr]
    app.conf.broker_transport_options = {"global_keyprefix": shared.keys.prefix}
    yield app
    app.close()


def arguments(to: str) -> dict[str, Any]:
    return {"to": to, "sender": SENDER, "subject": "Hello", "text": "Hello."}


@pytest.mark.parametrize("pool", ["custom", "threads", "solo", "prefork"])
def test_mail_is_sent_under_the_pool(post: Post, pool: str) -> None:
    post.worker("-P", pool, "-c", "2", fork=False)
    for i in range(20):
        post.send(f"{pool}-{i}@example.com", lane="bulk")
    until(lambda: len(post.arrivals()) == 20, "all mail arrives")
    until(post.idle, "all of it is settled")
    assert len(set(post.arrivals())) == 20


def test_outcomes_cross_the_process_border_of_prefork(post: Post) -> None:
    post.simulator.add_fault("error", error="rejected", count=1)
    worker = post.worker("-P", "prefork", "-c", "2")
    assert "concurrency: 2 (prefork)" in worker.text
    message_id = post.send("rejected@example.com")
    until(lambda: message_id in post.aside("dead"), "the refusal makes it a dead letter")


def test_stock_celery_enqueues_by_name(shared: Post, foreign: Celery) -> None:
    foreign.send_task("mailer.send", kwargs=arguments("foreign@example.com"), queue="bulk")
    until(lambda: shared.arrivals("foreign@example.com"), "the mail arrives")


def test_a_countdown_of_stock_celery_waits_in_the_schedule(shared: Post, foreign: Celery) -> None:
    foreign.send_task("mailer.send", kwargs=arguments("later@example.com"), queue="bulk", countdown=60)
    until(lambda: shared.client.zcard(shared.keys.schedule) == 1, "it is in the schedule")
    assert shared.client.zcard(shared.keys.leases) == 0
    assert shared.arrivals("later@example.com") == []
    Account(shared.settings).make_due()
    until(lambda: shared.arrivals("later@example.com"), "it arrives when due")


def test_a_countdown_goes_to_the_schedule_from_the_publishing_side(shared: Post, app: Celery) -> None:
    # No worker has a hand in it.
    shared.client.hset(shared.keys.account, "paused", "for the test")
    app.send_task("mailer.send", kwargs=arguments("much-later@example.com"), queue="bulk", countdown=3600)
    assert shared.client.zcard(shared.keys.schedule) == 1
    shared.client.delete(shared.keys.schedule)
    shared.client.hdel(shared.keys.account, "paused")

    begin = time.time()
    app.send_task("mailer.send", kwargs=arguments("countdown@example.com"), queue="bulk", countdown=2.5)
    until(lambda: shared.arrivals("countdown@example.com"), "it arrives when due")
    (arrived,) = [row.at for row in shared.simulator.rows() if row.recipient == "countdown@example.com"]
    assert arrived >= begin + 2.5


def test_what_has_come_due_is_taken_once(shared: Post) -> None:
    number = shared.keys.schedule_number
    before = int(shared.client.get(number) or 0)
    shared.send("due@example.com", send_at=datetime.now(UTC) + timedelta(seconds=3))
    until(lambda: shared.arrivals("due@example.com"), "it is sent")
    assert int(shared.client.get(number) or 0) == before + 1


def test_positional_arguments_become_a_dead_letter(shared: Post, app: Celery) -> None:
    result = app.send_task("mailer.send", args=["x"], queue="bulk")
    until(lambda: result.id in shared.aside("dead"), "it is set aside")
    shared.client.delete(shared.keys.aside("dead"), shared.keys.aside_index("dead"))


def test_a_task_of_another_name_becomes_a_dead_letter(shared: Post, app: Celery) -> None:
    result = app.send_task("mailer.nothing", queue="bulk")
    until(lambda: result.id in shared.aside("dead"), "it is set aside")
    shared.client.delete(shared.keys.aside("dead"), shared.keys.aside_index("dead"))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"link": signature("other.task")}, "link"),
        ({"link_error": signature("other.task"), "link": signature("other.task")}, "link and link_error"),
        ({"chain": [signature("other.task")]}, "chain"),
        ({"chord": signature("other.task")}, "chord"),
    ],
)
def test_what_is_to_follow_a_mail_is_refused_by_name(
    shared: Post, foreign: Celery, options: dict[str, Any], named: str
) -> None:
    kwargs = arguments("followed@example.com")
    result = foreign.send_task("mailer.send", kwargs=kwargs, queue="bulk", **options)
    until(lambda: result.id in shared.aside("dead"), "it is set aside")
    reason = json.loads(shared.aside("dead")[result.id].split(b"\n", 1)[0])
    assert reason["code"] == "NotSupported"
    assert reason["detail"].startswith(f"{named}: ")
    assert shared.arrivals("followed@example.com") == []
    shared.client.delete(shared.keys.aside("dead"), shared.keys.aside_index("dead"))


def test_a_producer_that_asks_for_a_result_gets_its_mail_sent(shared: Post, foreign: Celery) -> None:
    asked = {"ignore_result": False, "reply_to": "somewhere", "group_id": "a-group"}
    foreign.send_task("mailer.send", kwargs=arguments("asks@example.com"), queue="bulk", **asked)
    until(lambda: shared.arrivals("asks@example.com"), "the mail arrives")
    until(shared.idle, "it is settled")


def test_inspect_answers(shared: Post, app: Celery) -> None:
    # There is one worker: nobody else's answer is waited for.
    inspect = app.control.inspect(timeout=60, limit=1)
    assert [reply["ok"] for reply in inspect.ping().values()] == ["pong"]
    (stats,) = inspect.stats().values()
    assert stats["broker"]["transport_options"]["rules"]["lanes"] == ["transactional", "bulk"]
    (queues,) = inspect.active_queues().values()
    assert sorted(queue["name"] for queue in queues) == ["bulk", "transactional"]


def test_a_revoked_message_is_not_sent(shared: Post, app: Celery) -> None:
    shared.client.hset(shared.keys.account, "paused", "for the test")
    message_id = shared.send("revoked@example.com")
    assert app.control.revoke(message_id, reply=True, timeout=60, limit=1)
    shared.client.hdel(shared.keys.account, "paused")
    until(shared.idle, "it is settled")
    assert shared.arrivals("revoked@example.com") == []


def test_a_message_that_is_being_sent_cannot_be_called_back(shared: Post, app: Celery) -> None:
    shared.simulator.set_latency("2s")
    try:
        message_id = shared.send("terminated@example.com")
        until(lambda: shared.arrivals("terminated@example.com"), "it is being sent")
        app.control.revoke(message_id, terminate=True, reply=True, timeout=60, limit=1)
        until(shared.idle, "it is settled")
    finally:
        shared.simulator.set_latency("5ms")
    assert shared.aside("held") == {}
    history = history_of(shared.client, shared.settings, message_id)
    assert history is not None
    assert history.state == "sent"


def told_of(app: Celery, send: Callable[[], str]) -> list[dict[str, Any]]:
    """The workers' events of the message that ``send`` sends and whose id it returns, to the one of its success."""
    seen: list[dict[str, Any]] = []
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": seen.append})
        listener = threading.Thread(target=lambda: receiver.capture(limit=None))
        listener.start()
        until(lambda: seen, "a worker's heartbeat is heard")
        message_id = send()
        until(lambda: [event for event in seen if event["type"] == "task-succeeded"], "an event tells of its success")
        receiver.should_stop = True
        listener.join()
    return [event for event in seen if event.get("uuid") == message_id]


def test_events_tell_of_each_message_and_show_no_body_and_no_address(shared: Post, app: Celery) -> None:
    told = told_of(app, lambda: shared.send("seen@example.com", text="the secret body"))
    assert [event["type"] for event in told][:1] == ["task-received"]
    assert "secret body" not in repr(told)
    assert "seen@example.com" not in repr(told)
    assert "s***@example.com" in repr(told)


def test_nobody_who_asks_a_worker_is_shown_a_body_or_an_address(post: Post) -> None:
    post.settings = post.settings.model_copy(update={"read_timeout_seconds": 30.0, "lease_seconds": 40.0})
    post.simulator.add_fault("silence", when="before", count=2)
    post.worker()
    with Celery("operator", set_as_current=False) as app:
        app.conf.update(configuration(post.settings))
        kwargs = {**arguments("asked@example.com"), "text": "the secret body"}
        theirs = app.send_task("mailer.send", kwargs=kwargs, queue="bulk").id
        ours = post.send("asked@example.com", text="the secret body", lane="bulk")
        until(lambda: post.client.zcard(post.keys.leases) == 2, "both are being sent")
        inspect = app.control.inspect(timeout=60, limit=1)
        asked = [repr(inspect.active()), repr(inspect.query_task(ours, theirs))]
    assert [answer.count("bulk a***@example.com") for answer in asked] == [2, 2]
    assert not any("secret body" in answer or "asked@example.com" in answer for answer in asked)


def test_events_of_a_stock_producers_message_show_no_body_and_no_address(
    shared: Post, app: Celery, foreign: Celery
) -> None:
    kwargs = {**arguments("stock@example.com"), "text": "the secret body"}
    told = told_of(app, lambda: str(foreign.send_task("mailer.send", kwargs=kwargs, queue="bulk").id))
    assert "secret body" not in repr(told)
    assert "stock@example.com" not in repr(told)
    assert "s***@example.com" in repr(told)


def test_logs_show_no_address(shared: Post) -> None:
    assert "@example.com" not in shared.workers[0].text.replace("***@example.com", "")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@h:1/2", "redis://:**@h:1/2"),
        ("rediss://h:1/0", "rediss://:**@h:1/0"),
        ("sentinel://h:1/0", "sentinel://:**@h:1/0"),
        ("unix:///run/valkey.sock", "redis+socket:///run/valkey.sock"),
    ],
)
def test_the_broker_is_shown_by_the_scheme_that_people_know(url: str, shown: str) -> None:
    app = create_app(load(redis_url=url, redis_sentinel_master="post"))
    assert app.connection_for_read().as_uri() == shown
