"""Each row of the outcome table, from the answer of SES to the place of the message."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mailer.delivery.settling import MOST_PERHAPS_SENT
from mailer.operations.history import history_of
from mailer.queue.pause import LEARNED_OF_OTHERS, STOP
from mailer.queue.shelf import Shelf
from mailer.simulator.client import Simulator
from mailer.testbed.valkey import Valkey
from mailer.testbed.waiting import until
from tests.support.account import Account
from tests.support.post import Post


@pytest.fixture(autouse=True)
def clean(shared: Post) -> Any:
    shared.simulator.reset()
    yield
    shared.simulator.clear_faults()
    shared.client.hdel(shared.keys.account, "paused", "cut", *STOP, *LEARNED_OF_OTHERS)


def while_busy(post: Post, condition: Callable[[], Any]) -> Callable[[], Any]:
    """``condition``, with other mail each time that it is asked: what comes due is taken at once with that. A worker
    that has nothing to do asks once a second."""
    return lambda: post.send("other@example.com") and condition()


def reason(stored: bytes) -> dict[str, str]:
    found: dict[str, str] = json.loads(stored.split(b"\n", 1)[0])
    return found


def test_sent_mail_arrives_whole_and_leaves_nothing_behind(shared: Post, simulator: Simulator) -> None:
    message_id = shared.send(
        "Jörg <joerg@bücher.example>", subject="Grüße", text="Hallo", html="<p>Hallo</p>", tags={"campaign": "spring"}
    )
    until(lambda: shared.arrivals("joerg@xn--bcher-kva.example"), "the mail arrives")
    (message,) = simulator.messages(recipient="joerg@xn--bcher-kva.example")
    whole = simulator.message(message["ses_id"])
    assert whole["subject"] == "Grüße"
    assert (whole["text"].strip(), whole["html"].strip()) == ("Hallo", "<p>Hallo</p>")
    assert message["tags"]["campaign"] == "spring"
    assert message["tags"]["mailer-id"] == message_id
    until(shared.idle, "the queue is empty")


def test_throttled_mail_is_sent_after_all_and_spends_no_attempt(shared: Post, simulator: Simulator) -> None:
    simulator.add_fault("error", error="throttle", count=5)
    shared.send("throttled@example.com")
    until(lambda: shared.arrivals("throttled@example.com"), "the mail arrives after five refusals")
    until(shared.idle, "the queue is empty")
    assert shared.aside("dead") == {}


def test_what_was_surely_not_accepted_is_tried_again_later(shared: Post, simulator: Simulator) -> None:
    simulator.add_fault("error", error="unavailable", count=2)
    shared.send("again@example.com")
    until(lambda: shared.arrivals("again@example.com"), "the third attempt succeeds")
    assert shared.aside("dead") == {}


def test_the_time_for_attempts_is_capped(post: Post) -> None:
    again = {"retry_hours": 1 / 3600}
    post.settings = post.settings.model_copy(update=again)
    post.simulator.add_fault("error", error="unavailable", recipient="old@", count=1000)
    post.worker()
    message_id = post.send("old@example.com")
    is_dead = while_busy(post, lambda: post.aside("dead").get(message_id))
    words = until(is_dead, "it becomes a dead letter")
    assert "attempts in 0:00:0" in reason(words)["detail"]
    envelope = json.loads(words.split(b"\n", 1)[1])
    assert 0 < envelope["headers"]["retries"] < 200
    Shelf(post.producer.queue, "dead", post.settings.lanes).requeue([message_id])
    words = until(is_dead, "it is tried for as long again")
    envelope = json.loads(words.split(b"\n", 1)[1])
    assert 0 < envelope["headers"]["retries"] < 200


def test_time_in_a_lane_does_not_count_against_the_time_for_attempts(post: Post) -> None:
    again = {"retry_hours": 2 / 3600}
    post.settings = post.settings.model_copy(update=again)
    post.simulator.add_fault("error", error="unavailable")
    post.worker()
    message_id = post.send("patient@example.com", lane="bulk")

    def failures() -> int:
        history = history_of(post.client, post.settings, message_id)
        return 0 if history is None else sum(line.verb == "retry" for line in history.lines)

    until(failures, "it has failed")
    post.client.hset(post.keys.account, "paused:bulk", "for the test")
    until(lambda: post.client.llen(post.keys.lane("bulk")) == 1, "it waits in its lane")
    before = failures()
    time.sleep(2.5)
    post.client.hdel(post.keys.account, "paused:bulk")
    until(lambda: failures() > before, "it is tried again after all that time")
    post.simulator.clear_faults()
    until(lambda: post.arrivals("patient@example.com"), "and is sent")


def test_rejected_mail_becomes_a_dead_letter_with_the_words_of_ses(shared: Post, simulator: Simulator) -> None:
    simulator.add_fault("error", error="rejected", count=1)
    message_id = shared.send("rejected@example.com")
    words = reason(until(lambda: shared.aside("dead").get(message_id, b""), "it becomes a dead letter"))
    assert words["code"] == "MessageRejected"
    assert words["lane"] == "transactional"
    shared.client.delete(shared.keys.aside("dead"), shared.keys.aside_index("dead"))


def test_unknown_is_sent_again_where_the_lane_resends(shared: Post, simulator: Simulator) -> None:
    simulator.add_fault("reset", when="after", count=1)
    shared.send("twice@example.com", lane="transactional")
    until(lambda: len(shared.arrivals("twice@example.com")) == 2, "it is sent again")
    until(shared.idle, "the queue is empty")


def test_what_may_have_been_sent_is_held_in_the_end_and_keeps_its_idempotency_key(
    shared: Post, simulator: Simulator
) -> None:
    simulator.add_fault("reset", when="after", recipient="perhaps@", count=MOST_PERHAPS_SENT)
    message_id = shared.send("perhaps@example.com", idempotency_key="perhaps")
    words = until(while_busy(shared, lambda: shared.aside("held").get(message_id)), "it is held")
    assert f"given up after {MOST_PERHAPS_SENT} attempts" in reason(words)["detail"]
    assert b"mailer_key" not in words
    Shelf(shared.producer.queue, "held", shared.settings.lanes).drop([message_id])
    assert shared.send("perhaps@example.com", idempotency_key="perhaps") == message_id


def test_unknown_is_held_where_the_lane_holds(shared: Post, simulator: Simulator) -> None:
    simulator.add_fault("reset", when="after", count=1)
    message_id = shared.send("held@example.com", lane="bulk")
    until(lambda: message_id in shared.aside("held"), "it is held")
    assert shared.arrivals("held@example.com") == ["held@example.com"]
    shared.client.delete(shared.keys.aside("held"), shared.keys.aside_index("held"))


def test_a_read_timeout_is_unknown(post: Post, simulator: Simulator) -> None:
    post.worker(MAILER_READ_TIMEOUT_SECONDS="1")
    simulator.add_fault("silence", when="after", count=1)
    message_id = post.send("silence@example.com", lane="bulk")
    until(lambda: message_id in post.aside("held"), "it is held")


def test_expired_mail_is_not_sent(shared: Post, simulator: Simulator) -> None:
    shared.client.hset(shared.keys.account, "paused", "for the test")
    expiry = datetime.now(UTC) + timedelta(hours=1)
    shared.send("late@example.com", expires_at=expiry)
    lane = shared.keys.lane("transactional")
    (stored,) = Account(shared.settings).raw(lane)
    passed = stored.replace(expiry.isoformat().encode(), (expiry - timedelta(hours=2)).isoformat().encode())
    assert passed != stored
    shared.client.lset(lane, 0, passed.decode())
    shared.client.hdel(shared.keys.account, "paused")
    until(shared.idle, "it is gone")
    assert shared.arrivals("late@example.com") == []


def test_a_payload_that_is_no_message_becomes_a_dead_letter(shared: Post) -> None:
    shared.client.lpush(shared.keys.lane("bulk"), b"\xff not JSON")
    words = until(lambda: list(shared.aside("dead").values()), "it becomes a dead letter")
    assert reason(words[0])["code"] == "Undecodable"
    assert words[0].endswith(b"\xff not JSON")
    shared.client.delete(shared.keys.aside("dead"), shared.keys.aside_index("dead"))


def test_a_permit_that_is_used_too_late_goes_back_with_its_message(shared: Post, valkey: Valkey) -> None:
    account = Account(shared.settings)
    account.allow(rate=20, burst=2)
    spent = int(account.field("spent") or 0)
    (worker,) = shared.workers
    begin = len(worker.text)
    sent = 0

    def send_more() -> None:
        nonlocal sent
        for _ in range(20):
            shared.send(f"{sent}@example.com", lane="bulk")
            sent += 1

    send_more()

    def given_back() -> bool:
        """The answer to the worker's call comes when its permit is no longer good."""
        valkey.send_signal(signal.SIGSTOP)
        time.sleep(0.2)
        valkey.send_signal(signal.SIGCONT)
        time.sleep(0.2)
        if account.length("bulk") < 20:
            send_more()
        return "late" in worker.text[begin:]

    until(lambda: len(shared.arrivals()) > 3, "sending has begun")
    until(given_back, "a message goes back unsent")
    account.allow(rate=2000)
    until(lambda: len(shared.arrivals()) >= sent and shared.idle(), "all of it is sent")
    assert len(set(shared.arrivals())) == len(shared.arrivals()) == sent
    assert int(account.field("spent") or 0) == spent + sent
