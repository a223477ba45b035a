"""Templates of somebody hostile, as costly as the bounds allow and beyond: nobody else's mail waits for them."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import dataclass
from typing import Any

import psutil
import pytest

from mailer.mail.content import Structured, hash_of
from mailer.mail.message_id import new_base, numbered
from mailer.queue.envelope import Envelope
from mailer.queue.queue import Entry
from mailer.testbed.waiting import until
from tests.support.post import SENDER, Post

EACH = 6
# An urgent mail that waited its turn would wait for half of the costly work, and the last one for all of it.
LONGEST_SHARE, USUAL_SHARE = 1 / 3, 1 / 12
LARGEST_MEGABYTES = 300

BIG = {"x": "é " * 50_000}
SENT: list[tuple[dict[str, str], dict[str, Any]]] = [
    ({"text": "{% for i in range(30000) %}{% endfor %}x"}, {}),
    ({"html": "{% macro f() %}{% endmacro %}{% for i in range(12000) %}{{ f() }}{% endfor %}x"}, {}),
    ({"html": "{{ x }}" * 15}, {"x": "'<" * 25_000}),
    ({"text": "{{ x | wordcount }} {{ x[:100] }}"}, BIG),
    ({"text": "{{ 1 }}" * 3_000}, {}),
    ({"html": "\n" * 500_000 + "{{ 1 }}" * 2_000}, {}),
    ({"html": "{{ '" + "\\" * 500_000 + "' | length }}"}, {}),
    ({"text": "{% for i in range(n) %}{% endfor %}x"}, {"n": 2}),
    ({"text": "{% for i in range(n) %}{% endfor %}x"}, {"n": 30_000}),
]
REFUSED: list[tuple[dict[str, str], dict[str, Any]]] = [
    ({"text": "{% for i in range(10**9) %}x{% endfor %}"}, {}),
    ({"text": "{% for i in range(99999) %}{{ x | upper | length }}{% endfor %}"}, BIG),
    ({"text": "{{ range(100000) | random }}"}, {}),
    ({"text": "{{ 1 }}" * 20_000}, {}),
    ({"html": "\n" * 2_000_000 + "{{ 1 }}" * 2_000}, {}),
    ({"html": "{{ '" + "\\" * 2_000_000 + "' | length }}"}, {}),
    ({"text": "{{ secret + 1 }}"}, {"secret": "4711-token"}),
    ({"text": "{{ secret.upper() }}"}, {"secret": "4711-token"}),
    ({"text": "{{ order.items }}"}, {"order": {"items": ["4711-token"]}}),
]


def enqueue(post: Post, fields: dict[str, str], variables: dict[str, Any], name: str) -> None:
    """As a foreign producer may: past the checks of ours."""
    written = {"v": 1, "sender": SENDER, "subject": name, "templates": True, **fields}
    content = json.dumps(written, ensure_ascii=False, separators=(",", ":")).encode()
    envelope, base = Envelope("bulk", content_hash=hash_of(content)), new_base()
    ids = [numbered(base, number) for number in range(EACH)]
    to = f"{name}@example.com"
    entries = [Entry(each, envelope.by_reference(each, to, to, json.dumps(variables), "")) for each in ids]
    post.queue.put("bulk", entries, content=(hash_of(content), content))


def test_what_is_costly_within_the_bounds_passes_the_producer_too() -> None:
    for fields, variables in SENT:
        content = Structured.of(sender=SENDER, subject="Hello", templates=True, **fields)
        content.check(variables, json.dumps(variables))


@pytest.mark.timing
def test_urgent_mail_does_not_wait_for_costly_templates(post: Post) -> None:
    worker = post.worker()
    process = psutil.Process(worker.process.pid)
    for kind, cases in (("sent", SENT), ("refused", REFUSED)):
        for number, (fields, variables) in enumerate(cases):
            enqueue(post, fields, variables, f"{kind}{number}")
    found = urgent_mail(post, process)
    assert found.longest <= LONGEST_SHARE * found.work, found
    assert found.usual <= USUAL_SHARE * found.work, found
    assert found.megabytes < LARGEST_MEGABYTES
    assert worker.process.poll() is None

    costly = [to for to in post.arrivals() if not to.startswith("urgent")]
    assert sorted(costly) == sorted(f"sent{number}@example.com" for number in range(len(SENT)) for _ in range(EACH))
    dead = post.aside("dead")
    assert len(dead) == EACH * len(REFUSED)
    for stored in dead.values():
        reason = stored.split(b"\n", 1)[0]
        assert json.loads(reason)["code"] == "InvalidMessage"
        assert b"4711-token" not in reason.lower()
    assert "4711-token" not in worker.text.lower()


@dataclass(frozen=True, slots=True)
class Urgent:
    """How urgent mail fared: the longest and the usual wait for it, for how long the worker had costly work, in
    seconds, and the largest size of the worker."""

    longest: float
    usual: float
    work: float
    megabytes: float


def urgent_mail(post: Post, process: psutil.Process) -> Urgent:
    """Send some now and then, until nothing is queued any more."""
    begun: dict[str, float] = {}
    largest, began = 0, time.time()
    while not begun or not post.idle():
        to = f"urgent{time.time_ns()}@example.com"
        begun[to] = time.time()
        # Every other one is stored beside the queue, and has to be fetched.
        post.send(to, text="x" * (5000 if len(begun) % 2 else 10) + to)
        largest = max(largest, process.memory_info().rss)
        time.sleep(0.05)
        assert len(begun) < 2000
    work = time.time() - began
    until(post.idle, "all is settled")
    arrived = {row.recipient: row.at for row in post.simulator.rows()}
    waits = [arrived[to] - at for to, at in begun.items()]
    return Urgent(max(waits), statistics.median(waits), work, largest / 1024**2)
