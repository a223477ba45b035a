"""What a person does with the account, with real workers and mail that arrives."""

from __future__ import annotations

import signal
import time
from datetime import timedelta

import pytest

import mailer
from mailer.operations.status import read_status
from mailer.simulator.client import Simulator
from mailer.testbed.waiting import until
from ops.soak.passage import pass_time
from tests.support.post import Post


@pytest.fixture(autouse=True)
def _ours(post: Post) -> None:
    """`mailer.dead()` and the others work on the test's account."""
    mailer.configure(**post.settings.model_dump())


def test_a_pause_outlives_its_workers_and_a_resume_wakes_the_idle_ones(post: Post) -> None:
    first = post.worker()
    post.send("before@example.com")
    until(lambda: post.arrivals() == ["before@example.com"] and post.idle(), "the first mail arrives")
    mailer.pause("moving house")
    until(lambda: "the account is paused: moving house" in first.text, "the worker says why it waits")
    for _ in range(5):
        post.send("meanwhile@example.com")
    first.stop(signal.SIGKILL)
    second = post.worker()
    until(lambda: "the account is paused: moving house" in second.text, "so does the one after it")
    assert post.arrivals() == ["before@example.com"]
    assert mailer.resume()
    until(lambda: len(post.arrivals()) == 6, "all of it arrives after the resume")
    until(lambda: "messages go out again" in second.text, "it says that, too")
    assert second.text.count("Messages wait") == 1


def test_a_pause_ends_by_itself(post: Post) -> None:
    post.worker()
    mailer.pause("a moment", lane="bulk", until=timedelta(minutes=2))
    post.send("waits@example.com", lane="bulk")
    post.send("does-not@example.com")
    until(lambda: post.arrivals() == ["does-not@example.com"], "the other lane goes on")
    until(lambda: pass_time(post.client, post.keys, 2), "nothing is in flight")
    until(lambda: len(post.arrivals()) == 2, "the lane goes on without a resume")
    assert post.arrivals() == ["does-not@example.com", "waits@example.com"]


def test_a_rate_holds_for_a_running_worker_and_its_successor(post: Post) -> None:
    first = post.worker()
    until(lambda: read_status(post.client, post.settings).rate.per_second == 1000, "the setting holds")
    mailer.rate(5, until=timedelta(hours=1), reason="the receiver asked for it", by="jo")
    first.stop()
    post.worker()
    for number in range(8):
        post.send(f"{number}@example.com")
    until(lambda: len(post.arrivals()) == 8, "all of it arrives")
    at = [row.at for row in post.simulator.rows()]
    assert at[-1] - at[0] > 1, "at 1000 a second it would be at once"
    rate = read_status(post.client, post.settings).rate
    assert (rate.per_second, rate.source) == (5, "person")
    assert rate.person is not None
    assert (rate.person.by, rate.person.reason) == ("jo", "the receiver asked for it")
    mailer.rate(None)
    assert read_status(post.client, post.settings).rate.per_second == 1000


def test_requeued_mail_arrives_once_and_set_aside_again_it_has_both_reasons(post: Post, simulator: Simulator) -> None:
    simulator.add_fault("error", error="rejected", count=2)
    post.worker()
    message_id = post.send("jane@example.com")
    until(lambda: len(mailer.dead()) == 1, "it is rejected")
    assert mailer.dead().requeue(mailer.Filter(to="jane@example.com")).moved == 1
    until(lambda: len(mailer.dead()) == 1, "it is rejected again")
    again = mailer.dead().get(message_id)
    assert [each.code for each in again.history] == [again.code] == ["MessageRejected"]
    assert mailer.dead().requeue(message_id).moved == 1
    until(lambda: post.arrivals() == ["jane@example.com"], "it arrives")
    until(post.idle, "nothing is left")
    assert len(mailer.dead()) == 0


def test_held_mail_is_sent_once_more_only_if_a_person_says_so(post: Post, simulator: Simulator) -> None:
    simulator.add_fault("reset", when="after", count=2)
    post.worker()
    for name in ("arrived", "again"):
        post.send(f"{name}@example.com", lane="bulk")
        until(lambda: len(mailer.held()) == (1 if name == "arrived" else 2), "it is held")  # noqa: B023
    assert mailer.held().sent([each.name for each in mailer.held().messages(mailer.Filter(to="arrived@example.com"))])
    assert mailer.held().requeue(mailer.Filter()).moved == 1
    until(lambda: post.arrivals("again@example.com") == ["again@example.com"] * 2, "it is sent once more")
    assert post.arrivals("arrived@example.com") == ["arrived@example.com"]


def _due_in(post: Post, message_id: str) -> float:
    """Seconds until it is tried again; 0 where it does not wait for that."""
    due: list[tuple[bytes, float]] = post.client.zrange(post.keys.schedule, 0, 0, withscores=True)  # type: ignore[assignment]
    waits = [score / 1e6 - time.time() for member, score in due if message_id.encode() in member]
    return waits[0] if waits else 0.0


def test_a_scheduled_retry_can_be_had_at_once(post: Post, simulator: Simulator) -> None:
    simulator.add_fault("error", error="unavailable")
    post.worker()
    message_id = post.send("jane@example.com")
    until(lambda: _due_in(post, message_id) > 5, "it waits for long for its next attempt")
    assert mailer.scheduled().get(message_id).attempts > 1
    simulator.clear_faults()
    assert mailer.scheduled().requeue(message_id).moved == 1
    until(lambda: post.arrivals() == ["jane@example.com"], "it is tried at once")
