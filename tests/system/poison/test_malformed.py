"""Malformed messages in the lanes and queues of a real worker: each ends sent or dead, and the lane goes on."""

from __future__ import annotations

import base64
import itertools
import json
import os
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.queue.envelope import Envelope
from mailer.testbed.waiting import until
from tests.support.malformed import INLINE, arguments, as_json
from tests.support.post import Post
from tests.support.strategies import edited, mostly, tries

# The simulator has no configuration set of that name.
ARGUMENTS = {name: each for name, each in INLINE.items() if name != "configuration_set"}
BROKEN = st.sampled_from(["", "\0", '"', "}", "\ud800", "null"])
BODIES = arguments(ARGUMENTS).map(lambda made: json.dumps([[], as_json(made), {}]))
SPOILT = mostly(BODIES, BODIES.flatmap(lambda body: edited(body, BROKEN, 1)), one_in=3)


@pytest.fixture(autouse=True)
def clean(shared: Post) -> None:
    empty(shared)


def empty(post: Post) -> None:
    post.simulator.reset()
    for shelf in ("dead", "held"):
        post.client.delete(post.keys.aside(shelf), post.keys.aside_index(shelf))


def goes_on(post: Post) -> None:
    post.send("afterwards@example.com", lane="bulk")
    until(lambda: post.arrivals("afterwards@example.com"), "the lane goes on")
    until(post.idle, "the queue is empty")


def test_every_spoilt_payload_ends_sent_or_dead(shared: Post) -> None:
    ids = (f"{number:08x}-7d0b-4b2a-9d4c-1f7f3f5f8a10" for number in itertools.count())
    ends: Counter[str] = Counter()

    @tries(20)
    @given(st.one_of(st.lists(SPOILT, min_size=1, max_size=9), st.lists(SPOILT, min_size=30, max_size=60)))
    def attempt(bodies: list[str]) -> None:
        empty(shared)
        for body in bodies:
            envelope = json.loads(Envelope("bulk").inline(next(ids), INLINE, "j***@example.com"))
            shared.client.lpush(shared.keys.lane("bulk"), json.dumps({**envelope, "body": body}))
        goes_on(shared)
        sent, dead = len(shared.arrivals()) - 1, shared.aside("dead").values()
        assert sent + len(dead) == len(bodies)
        assert all(json.loads(each.split(b"\n", 1)[0])["detail"] for each in dead)
        ends.update(sent=sent, dead=len(dead))

    attempt()
    assert min(ends["sent"], ends["dead"]) > 20


class Trap:
    """Runs when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def pickled(envelope: bytes, trap: Trap, encoding: str) -> bytes:
    """The envelope with a pickle for its body, as Celery's pickle serializer writes it."""
    message = json.loads(envelope)
    raw = pickle.dumps(([], {"to": trap}, {}))
    body = base64.b64encode(raw).decode() if encoding == "base64" else raw.decode("latin-1")
    message["body"] = body
    message["content-type"] = "application/x-python-serialize"
    message["content-encoding"] = "binary"
    message["properties"]["body_encoding"] = encoding if encoding == "base64" else None
    return json.dumps(message).encode()


@pytest.mark.parametrize("encoding", ["base64", "none"])
def test_a_pickle_is_a_dead_letter_and_is_never_unpickled(shared: Post, tmp_path: Path, encoding: str) -> None:
    trap = Trap(tmp_path / "sprung")
    message_id = "0b6c2bb4-7d0b-4b2a-9d4c-1f7f3f5f8a10"
    envelope = Envelope("bulk").inline(message_id, INLINE, "j***@example.com")
    shared.client.lpush(shared.keys.lane("bulk"), pickled(envelope, trap, encoding))
    goes_on(shared)
    assert list(shared.aside("dead")) == [message_id]
    assert not (tmp_path / "sprung").exists()


def test_a_pickle_to_remote_control_is_never_unpickled(shared: Post, tmp_path: Path) -> None:
    """Workers listen to more than lanes: `celery control` reaches them by a channel of its own."""
    trap = Trap(tmp_path / "sprung")
    body = base64.b64encode(pickle.dumps({"method": "ping", "arguments": {"x": trap}, "destination": None})).decode()
    message = {
        "body": body,
        "content-encoding": "binary",
        "content-type": "application/x-python-serialize",
        "headers": {},
        "properties": {
            "delivery_mode": 2,
            "delivery_info": {"exchange": "celery.pidbox", "routing_key": ""},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "0b6c2bb4",
        },
    }
    reached = shared.client.publish(f"{shared.keys.prefix}/0.celery.pidbox", json.dumps(message))
    assert reached == 1
    goes_on(shared)
    assert not (tmp_path / "sprung").exists()


def test_numbers_that_64_bits_cannot_hold_stay_what_they_are(shared: Post) -> None:
    shared.simulator.reset()
    shared.producer.send_many(
        [{"to": "long@example.com", "variables": {"number": 12345678901234567890123}}],
        sender="a@example.com",
        subject="{{ number }}",
        text="Hi",
    )
    until(lambda: shared.arrivals("long@example.com"), "it arrives")
    (message,) = shared.simulator.messages(recipient="long@example.com", fields="subject")
    assert message["subject"] == "12345678901234567890123"
