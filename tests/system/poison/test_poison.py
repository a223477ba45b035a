"""Messages that cannot be read, and those that no worker survives: set aside with their bytes, and the lane goes on."""

from __future__ import annotations

import hashlib
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from mailer.queue.records import Records
from mailer.testbed.waiting import until
from tests.support.account import Account, Worker
from tests.support.post import DEADLY, DEFECTIVE, LOOP_BREAKING, OVERHEARD, SENDER, UNDELIVERABLE, Post

PAYLOADS = Path(__file__).parent / "payloads"
PLAIN = {"to": "jane@example.com", "sender": SENDER, "subject": "Hello", "text": "Hello."}


def envelope(name: str, body: Any = None, **changes: Any) -> bytes:
    """A Celery message as another program would write it; ``body`` is what it is to be in JSON, or text."""
    headers = {"id": name, "task": "mailer.send", "lang": "py", "retries": 0, **changes.pop("headers", {})}
    written = body if isinstance(body, str) else json.dumps([[], PLAIN, {}] if body is None else body)
    message = {
        "body": written,
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": headers,
        "properties": {"delivery_info": {}, "body_encoding": None},
        **changes,
    }
    return json.dumps(message).encode()


def reason(stored: bytes) -> dict[str, str]:
    found: dict[str, str] = json.loads(stored.split(b"\n", 1)[0])
    return found


STORED = json.dumps({"v": 2, "sender": SENDER, "subject": "Hello", "text": "Hello."}).encode()
STORED_HASH = hashlib.sha256(STORED).hexdigest()[:32]

UNREADABLE = {
    "not JSON": (b"\xff not JSON", "Undecodable", "not JSON"),
    "no object": (b"[1, 2]", "Undecodable", "no Celery message"),
    "empty": (b"{}", "Undecodable", "it has no 'headers'"),
    "no properties": (b'{"headers": {"id": "no-properties", "task": "mailer.send"}}', "Undecodable", "'properties'"),
    "an id of two lines": (envelope("two\nlines"), "Undecodable", "header id"),
    "retries that are no number": (envelope("retries", headers={"retries": "x"}), "Undecodable", "header retries"),
    "a due time that is none": (envelope("eta", headers={"eta": "soon"}), "Undecodable", "isoformat"),
    "an expiry that is none": (envelope("expires", headers={"expires": "soon"}), "Undecodable", "no task"),
    "a body that is not JSON": (envelope("body", "[[], {"), "Undecodable", "Its body cannot be read"),
    "a body of one part": (envelope("parts", [1]), "Undecodable", "no task can be made of it"),
    "a body of other parts": (envelope("object", {"a": 1}), "Undecodable", "no task can be made of it"),
    "a body too deep": (envelope("deep", "[" * 100_000), "Undecodable", ""),
    "a body of another kind": (
        envelope("pickle", "gASV", **{"content-type": "application/x-python-serialize"}),
        "Undecodable",
        "content-type: is 'application/x-python-serialize'",
    ),
    "another task": (envelope("task", headers={"task": "mailer.nothing"}), "UnknownTask", "Send to mailer.send"),
    "arguments that are a list": (envelope("list", [[], [], {}]), "InvalidMessage", "kwargs: are"),
    "another version": (
        envelope("version", [[], {**PLAIN, "v": 2}, {}]),
        "UnknownVersion",
        "v: is of version 2, and this worker knows version 1. Upgrade the workers",
    ),
    "a content of another version": (
        envelope("content", [[], {"to": "jane@example.com"}, {}], headers={"mailer_content": STORED_HASH}),
        "UnknownVersion",
        "content: is of version 2",
    ),
}


def test_what_cannot_be_read_is_a_dead_letter_with_its_bytes(shared: Post) -> None:
    shared.simulator.reset()
    shared.client.hset(shared.keys.content, STORED_HASH, STORED)
    shared.client.hset(shared.keys.references, STORED_HASH, 1)
    shared.client.hset(shared.keys.account, "paused", "for the test")
    for raw, _, _ in UNREADABLE.values():
        shared.client.lpush(shared.keys.lane("bulk"), raw)
    shared.send("behind@example.com", lane="bulk")
    shared.client.hdel(shared.keys.account, "paused")

    until(lambda: shared.arrivals("behind@example.com"), "the message behind them arrives")
    until(lambda: len(shared.aside("dead")) == len(UNREADABLE), "all of them are dead letters")
    stored = list(shared.aside("dead").values())
    for what, (raw, code, words) in UNREADABLE.items():
        (found,) = [each for each in stored if each.split(b"\n", 1)[1] == raw]
        assert reason(found)["code"] == code, what
        assert words in reason(found)["detail"], what
    assert shared.workers[0].process.poll() is None
    until(shared.idle, "nothing is leased")
    assert "jane@example.com" not in shared.workers[0].text
    shared.client.delete(shared.keys.aside("dead"), shared.keys.aside_index("dead"))
    shared.client.delete(shared.keys.content, shared.keys.references)


@pytest.mark.parametrize("form", ["inline", "by-reference"])
def test_what_version_1_enqueued_is_still_sent(shared: Post, form: str) -> None:
    """The bytes are those that the first version wrote."""
    shared.simulator.reset()
    raw = (PAYLOADS / f"1-{form}.json").read_bytes()
    if form == "by-reference":
        digest = json.loads(raw)["headers"]["mailer_content"]
        shared.client.hset(shared.keys.content, digest, (PAYLOADS / f"1-{form}.content.json").read_bytes())
        shared.client.hset(shared.keys.references, digest, 1)
    shared.client.lpush(shared.keys.lane("bulk"), raw)
    to, name = ("jane@example.com", "") if form == "inline" else ("joerg@example.com", " Jörg")
    until(lambda: shared.arrivals(to), "it arrives")
    (message,) = shared.simulator.messages(recipient=to)
    whole = shared.simulator.message(message["ses_id"])
    assert (whole["subject"], whole["text"].strip()) == (f"Grüße{name}", f"Hallo{name}")
    assert whole["html"].strip() == f"<p>Hallo{name}</p>"
    assert message["tags"]["campaign"] == "spring"
    until(shared.idle, "it is settled")
    assert shared.client.hlen(shared.keys.references) == 0
    (line,) = Records(shared.client, shared.keys).of(json.loads(raw)["headers"]["id"])
    assert (line.verb, line.accepted, line.ses_id) == ("sent", None, message["ses_id"])


def test_what_ends_its_worker_twice_is_held_and_those_with_it_are_sent(post: Post) -> None:
    workers = [post.worker(app="tests.support.deadly", wait=False) for _ in range(3)]
    for worker in workers:
        worker.wait_until_ready()
    post.client.hset(post.keys.account, "paused", "for the test")
    to = [f"{i}@example.com" for i in range(7)]
    for each in to[:3]:
        post.send(each)
    poison = post.send("poison@example.com", subject=DEADLY)
    for each in to[3:]:
        post.send(each)
    post.client.hdel(post.keys.account, "paused")

    for losses in (1, 2):
        until(lambda n=losses: sum(each.process.poll() is not None for each in workers) == n, "a worker is lost")  # type: ignore[misc]
        post.lose(poison)
    until(lambda: poison in post.aside("held"), "it is held")
    post.send("after@example.com")
    until(lambda: {*to, "after@example.com"} <= set(post.arrivals()) and post.idle(), "all others arrive", 90)
    assert reason(post.aside("held")[poison])["code"] == "WorkerLostTwice"
    assert list(post.aside("held")) == [poison]
    assert post.aside("dead") == {}
    assert "poison@example.com" not in post.arrivals()
    assert sum(worker.process.poll() is not None for worker in workers) == 2
    assert [line.verb for line in Records(post.client, post.keys).of(poison)] == ["lost", "hold"]


def test_what_ends_its_child_of_prefork_twice_is_held(post: Post) -> None:
    post.settings = post.settings.model_copy(update={"retry_hours": 60 / 3600})
    worker = post.worker("-P", "prefork", "-c", "1", app="tests.support.deadly")
    poison = post.send("poison@example.com", subject=DEADLY)
    until(lambda: poison in post.aside("held"), "it is held")
    assert reason(post.aside("held")[poison])["code"] == "WorkerLostTwice"
    post.send("after@example.com")
    until(lambda: post.arrivals() == ["after@example.com"] and post.idle(), "the next is sent")
    assert worker.process.poll() is None
    told = [(line.verb, line.attempt) for line in Records(post.client, post.keys).of(poison)]
    assert told == [("resend", 1), ("hold", 2)]


@pytest.mark.parametrize("pool", ["custom", "prefork"])
def test_a_defect_after_a_send_holds_its_message_and_neither_ends_nor_disturbs_the_worker(
    post: Post, pool: str
) -> None:
    post.settings = post.settings.model_copy(update={"on_unknown": {"transactional": "resend", "bulk": "resend"}})
    worker = post.worker("-P", pool, "-c", "4", app="tests.support.deadly")
    post.client.hset(post.keys.account, "paused", "for the test")
    for i in range(3):
        post.send(f"{i}@example.com")
    defective = post.send("defective@example.com", subject=DEFECTIVE)
    unreadable = post.send("undeliverable@example.com", subject=UNDELIVERABLE)
    overheard = post.send("overheard@example.com", subject=OVERHEARD)
    for i in range(3, 9):
        post.send(f"{i}@example.com")
    post.client.hdel(post.keys.account, "paused")

    until(lambda: len(post.arrivals()) == 11 and post.idle(), "all but one are sent")
    others = [f"{i}@example.com" for i in range(9)]
    assert sorted(post.arrivals()) == [*others, "defective@example.com", "overheard@example.com"]
    assert {name: reason(stored)["code"] for name, stored in post.aside("held").items()} == {defective: "KeyError"}
    assert {name: reason(stored)["code"] for name, stored in post.aside("dead").items()} == {unreadable: "Undecodable"}
    (line,) = Records(post.client, post.keys).of(defective)
    assert (line.verb, line.answer) == ("hold", "KeyError")
    assert worker.process.poll() is None
    # What was decided before Celery broke off stands.
    assert [line.verb for line in Records(post.client, post.keys).of(overheard)] == ["sent"]
    assert worker.text.count("Traceback") == 3
    assert "Connection to broker lost" not in worker.text


def test_a_defect_that_breaks_the_event_loop_is_told_as_one_and_what_is_being_sent_is_sent_once(post: Post) -> None:
    worker = post.worker(app="tests.support.deadly")
    breaking = post.send("breaking@example.com", subject=LOOP_BREAKING)
    until(lambda: "A defect of this program broke its event loop" in worker.text, "it is told")
    post.send("after@example.com")
    until(lambda: len(post.arrivals()) == 2 and post.idle(), "both are sent", 90)
    assert sorted(post.arrivals()) == ["after@example.com", "breaking@example.com"]
    assert [line.verb for line in Records(post.client, post.keys).of(breaking)] == ["sent"]
    assert worker.process.poll() is None
    assert "Connection to broker lost" not in worker.text
    assert "KeyError: 'a defect'" in worker.text


def test_a_worker_that_comes_back_too_late_still_says_what_it_sent(post: Post) -> None:
    """It stood still with a send in flight, its lease ran out, and the message was held."""
    post.simulator.set_latency("3s")
    worker = post.worker()
    message_id = post.send("late@example.com", lane="bulk")
    until(post.arrivals, "SES has it")
    worker.process.send_signal(signal.SIGSTOP)
    post.lose_all()
    Worker(Account(post.settings)).take(0)
    assert message_id in post.aside("held")
    worker.process.send_signal(signal.SIGCONT)
    until(lambda: post.aside("held") == {}, "it is settled after all")
    assert post.arrivals() == ["late@example.com"]
    assert [line.verb for line in Records(post.client, post.keys).of(message_id)] == ["hold", "sent"]
