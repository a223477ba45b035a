"""What the event loop does with a message itself, and what it has a helper do: nobody else waits for it."""

from __future__ import annotations

import json
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from kombu.asynchronous import Hub

from mailer.delivery.outcome import Kind, Outcome
from mailer.mail.content import Structured
from mailer.queue import payload
from mailer.queue.headers import CONTENT_HEADER, PERMIT_ENDS, SIZE
from mailer.queue.keys import Keys
from mailer.ses.curl.loop import CurlLoop
from mailer.settings import Settings
from mailer.worker.door import Door
from tests.support.servers import ACCEPTED, RawServer, read_request

INLINE = {"to": "a@example.com", "sender": "s@example.com", "subject": "Hi", "text": "Hi"}
BY_REFERENCE = {"to": "a@example.com"}


@pytest.fixture
def ses(monkeypatch: pytest.MonkeyPatch) -> Iterator[RawServer]:
    def serve(connection: socket.socket) -> None:
        while read_request(connection) is not None:
            connection.sendall(ACCEPTED)

    with RawServer(serve) as server:
        for name, value in {
            "AWS_ENDPOINT_URL_SESV2": server.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def silent() -> Iterator[RawServer]:
    """A Redis that takes connections and says nothing."""
    over = threading.Event()

    def wait(_: socket.socket) -> None:
        over.wait(120)

    with RawServer(wait) as server:
        yield server
        over.set()


class Desk:
    """A door on an event loop. ``outcomes`` are by the order of their coming."""

    def __init__(self, settings: Settings) -> None:
        self.door = Door(settings)
        self.door.transport.prepare()
        self.hub = Hub()
        self.outcomes: list[tuple[str, Outcome]] = []
        self.start()

    def start(self) -> None:
        self.sender = CurlLoop(self.door.transport)  # type: ignore[arg-type]
        self.sender.attach(self.hub)
        self.door.attach(self.sender)

    def begin(self, name: str, kwargs: dict[str, Any], digest: object = None, permit_ends: float = math.inf) -> None:
        request = {"id": name, "args": [], "kwargs": kwargs, CONTENT_HEADER: digest}
        request |= {SIZE: len(json.dumps(kwargs)), PERMIT_ENDS: permit_ends}

        def ended(outcome: Outcome | Exception) -> None:
            assert isinstance(outcome, Outcome)
            self.outcomes.append((name, outcome))

        self.door.begin(request, ended)

    def until(self, condition: Callable[[], object], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline
            self.hub.run_once()

    def until_ended(self, count: int) -> list[str]:
        self.until(lambda: len(self.outcomes) >= count)
        return [name for name, _ in self.outcomes]

    def close(self) -> None:
        self.hub.close()
        self.door.transport.close()


@pytest.fixture
def open_desk(ses: RawServer) -> Iterator[Callable[[Settings], Desk]]:
    opened: list[Desk] = []

    def open_one(settings: Settings) -> Desk:
        opened.append(Desk(settings))
        return opened[-1]

    yield open_one
    for desk in opened:
        desk.close()


def store(client: redis.Redis, settings: Settings, **fields: Any) -> str:
    """Store a content that nobody has seen before; its hash."""
    content = Structured.of(sender="s@example.com", **{"subject": f"{settings.account} {time.time_ns()}", **fields})
    client.hset(Keys.of(settings).content, content.hash, content.encoded)
    return content.hash


def fetches(client: redis.Redis) -> int:
    return int(client.info("commandstats").get("cmdstat_hmget", {}).get("calls", 0))


def test_messages_of_one_content_wait_for_one_fetch(
    open_desk: Callable[[Settings], Desk], settings: Settings, client: redis.Redis
) -> None:
    desk, digest = open_desk(settings), store(client, settings, text="Hello.")
    other = store(client, settings, text="Hello, too.")
    before = fetches(client)
    for number in range(20):
        desk.begin(f"m{number}", BY_REFERENCE, digest if number % 2 else other)
    assert desk.outcomes == []
    assert sorted(desk.until_ended(20)) == sorted(f"m{number}" for number in range(20))
    assert {outcome.kind for _, outcome in desk.outcomes} == {Kind.SENT}
    # The first did not wait for the second to come.
    assert fetches(client) - before == 2
    desk.begin("again", BY_REFERENCE, digest)
    desk.until_ended(21)
    assert fetches(client) - before == 2


def test_a_redis_that_hangs_holds_up_only_what_waits_for_it(
    open_desk: Callable[[Settings], Desk], settings: Settings, silent: RawServer
) -> None:
    url = f"redis://127.0.0.1:{silent.port}/0"
    desk = open_desk(settings.model_copy(update={"redis_url": type(settings.redis_url)(url)}))  # type: ignore[misc]
    desk.begin("waits", BY_REFERENCE, "ab" * 16)
    for number in range(5):
        desk.begin(f"m{number}", INLINE)
    assert sorted(desk.until_ended(5)) == [f"m{number}" for number in range(5)]
    assert desk.sender.in_flight == 1
    desk.until_ended(6)
    name, outcome = desk.outcomes[-1]
    assert (name, outcome.kind, outcome.code) == ("waits", Kind.UNFIT, "QueueUnavailable")


def test_what_waits_for_its_content_when_the_loop_stops_is_sent(
    open_desk: Callable[[Settings], Desk], settings: Settings, client: redis.Redis
) -> None:
    desk, digest = open_desk(settings), store(client, settings, text="Hello.")
    for number in range(3):
        desk.begin(f"m{number}", BY_REFERENCE, digest)
    desk.sender.drain(60)
    assert sorted(name for name, _ in desk.outcomes) == ["m0", "m1", "m2"]
    assert {outcome.kind for _, outcome in desk.outcomes} == {Kind.SENT}


def test_the_next_worker_of_this_process_has_its_own_helpers(
    open_desk: Callable[[Settings], Desk], settings: Settings, client: redis.Redis
) -> None:
    desk = open_desk(settings)
    desk.begin("first", BY_REFERENCE, store(client, settings, text="Hello."))
    desk.sender.drain(60)
    desk.start()
    desk.begin("second", BY_REFERENCE, store(client, settings, text="Hello."))
    desk.until_ended(2)
    assert {outcome.kind for _, outcome in desk.outcomes} == {Kind.SENT}


@pytest.mark.parametrize("digest", ["cd" * 16, "not a hash", 7, ["x"]])
def test_a_content_that_is_not_there_rejects_its_message_and_no_other(
    open_desk: Callable[[Settings], Desk], settings: Settings, client: redis.Redis, digest: object
) -> None:
    desk = open_desk(settings)
    desk.begin("lacking", BY_REFERENCE, digest)
    desk.begin("good", BY_REFERENCE, store(client, settings, text="Hello."))
    desk.until_ended(2)
    assert {name: outcome.kind for name, outcome in desk.outcomes} == {"lacking": Kind.REJECTED, "good": Kind.SENT}


def test_what_takes_long_to_render_or_is_large_does_not_hold_up_the_loop(
    open_desk: Callable[[Settings], Desk], settings: Settings, client: redis.Redis
) -> None:
    desk = open_desk(settings)
    loops = "{% for a in range(100) %}{% for b in range(100) %}{% endfor %}{% endfor %}"
    slow = store(client, settings, text=loops, templates=True)
    large = store(client, settings, text="x" * 1_000_000)
    for digest in (slow, large):
        desk.begin("first", BY_REFERENCE, digest)
    desk.until_ended(2)
    assert [payload.is_light(BY_REFERENCE, digest, 0) for digest in (slow, large)] == [False, False]
    for digest in (slow, large):
        desk.begin("again", BY_REFERENCE, digest)
    desk.begin("big", {**INLINE, "text": "x" * 1_000_000})
    # Nothing of the three has been made yet: they are a helper's.
    assert desk.sender.in_flight == 1
    desk.until_ended(5)
    assert {outcome.kind for _, outcome in desk.outcomes} == {Kind.SENT}


def test_a_template_that_is_rendered_at_once_is_the_loops(
    open_desk: Callable[[Settings], Desk], settings: Settings, client: redis.Redis
) -> None:
    desk, digest = open_desk(settings), store(client, settings, text="Hello {{ name }}", templates=True)
    for number in range(3):
        desk.begin(f"m{number}", {**BY_REFERENCE, "vars": {"name": "Jane"}}, digest)
    desk.until_ended(3)
    assert payload.is_light(BY_REFERENCE, digest, 0)


LOOP = "{% for i in range(n) %}{% endfor %}{{ n }}"


def test_what_is_stored_and_quick_does_not_wait_behind_templates_that_take_long(
    open_desk: Callable[[Settings], Desk], settings: Settings, client: redis.Redis
) -> None:
    desk = open_desk(settings)
    for number in range(20):
        digest = store(client, settings, text=f"{LOOP}{number}", templates=True)
        desk.begin("costly", {**BY_REFERENCE, "vars": {"n": 30_000}}, digest)
    desk.begin("quick", BY_REFERENCE, store(client, settings, text="Hello."))
    names = desk.until_ended(21)
    assert names.index("quick") < 15
    assert {outcome.kind for _, outcome in desk.outcomes} == {Kind.SENT}


def test_a_template_that_is_quick_for_one_and_long_for_another_is_given_up_by_the_loop(
    open_desk: Callable[[Settings], Desk], settings: Settings, client: redis.Redis
) -> None:
    desk, digest = open_desk(settings), store(client, settings, text=LOOP, templates=True)
    desk.begin("first", {**BY_REFERENCE, "vars": {"n": 1}}, digest)
    desk.until_ended(1)
    assert payload.is_light(BY_REFERENCE, digest, 0)
    desk.begin("long", {**BY_REFERENCE, "vars": {"n": 30_000}}, digest)
    assert desk.sender.in_flight == 1
    desk.until_ended(2)
    assert not payload.is_light(BY_REFERENCE, digest, 0)
    assert {outcome.kind for _, outcome in desk.outcomes} == {Kind.SENT}


def test_what_takes_longer_to_make_than_its_permit_holds_is_sent_all_the_same(
    open_desk: Callable[[Settings], Desk], settings: Settings, client: redis.Redis
) -> None:
    desk, digest = open_desk(settings), store(client, settings, text=LOOP, templates=True)
    for number in range(1, 6):
        desk.begin("slow", {**BY_REFERENCE, "vars": {"n": 30_000}}, digest, time.monotonic() + 0.01)
        desk.until_ended(number)
        if desk.outcomes[-1][1].kind is Kind.SENT:
            break
        # This process stood still before it was begun. Another second later that is no reason to send it.
        time.sleep(1.1)
    assert desk.outcomes[-1][1].kind is Kind.SENT


def test_what_comes_after_its_permit_has_run_out_goes_back_unmade(
    open_desk: Callable[[Settings], Desk], settings: Settings, client: redis.Redis
) -> None:
    desk, digest = open_desk(settings), store(client, settings, text=LOOP, templates=True)
    desk.begin("late", BY_REFERENCE, digest, time.monotonic() - 1)
    assert [(name, outcome.kind, outcome.code) for name, outcome in desk.outcomes] == [
        ("late", Kind.LATE, "PermitEnded")
    ]


def test_what_is_made_after_its_permit_has_run_out_goes_back_unsent(
    open_desk: Callable[[Settings], Desk], settings: Settings, client: redis.Redis
) -> None:
    desk, digest = open_desk(settings), store(client, settings, text="Hello.")
    desk.begin("late", BY_REFERENCE, digest, time.monotonic() + 0.2)
    # The loop stands still. Meanwhile a helper fetches the content.
    time.sleep(0.3)
    desk.until_ended(1)
    assert [(outcome.kind, outcome.code) for _, outcome in desk.outcomes] == [(Kind.LATE, "PermitEnded")]
