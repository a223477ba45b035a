"""Sends on an event loop: each goes out once and ends once."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from kombu.asynchronous import Hub

from mailer.errors import OutcomeUnknown, TooLate
from mailer.message import Attachment, Message
from mailer.ses.access import Way
from mailer.ses.curl import CurlTransport
from mailer.ses.curl_loop import CurlLoop
from tests.ses.servers import ACCEPTED, RawServer, read_request

SMALL = Message(id="m", sender="a@example.com", to="b@example.com", subject="Hi", text="Hi")
# More than a socket's buffers hold, so that a helper has to wait for the server to read.
LARGE = Message(
    id="m",
    sender="a@example.com",
    to="b@example.com",
    subject="Hi",
    text="Hi",
    attachments=(Attachment("a.bin", b"x" * 12_000_000, "application/octet-stream"),),
)


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    monkeypatch.setenv("AWS_REGION", "us-east-1")


@contextmanager
def looping(server: RawServer, read_timeout: float = 20.0) -> Iterator[tuple[CurlLoop, Hub]]:
    with CurlTransport(Way(endpoint_url=server.url, connect_timeout=10, read_timeout=read_timeout)) as transport:
        loop, hub = CurlLoop(transport), Hub()
        loop.attach(hub)
        yield loop, hub
        hub.close()


def turn_until(hub: Hub, results: list[object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not results and time.monotonic() < deadline:
        hub.run_once()


def test_a_large_send_in_the_hands_of_a_helper_ends_once_when_the_loop_stops() -> None:
    read_on = threading.Event()

    def serve(connection: socket.socket) -> None:
        read_on.wait(60)
        while read_request(connection) is not None:
            time.sleep(0.2)
            connection.sendall(ACCEPTED[:30])
            time.sleep(0.2)
            connection.sendall(ACCEPTED[30:])

    results: list[object] = []
    with RawServer(serve) as server, looping(server) as (loop, hub):
        loop.send(LARGE, results.append)
        deadline = time.monotonic() + 60
        while not any(connection.sending for connection in loop._sends) and time.monotonic() < deadline:
            hub.run_once()
        read_on.set()
        loop.drain(60)
    assert results == ["id-1"]


def test_a_large_send_that_gets_no_answer_ends_once() -> None:
    def serve(connection: socket.socket) -> None:
        read_request(connection)
        over.wait(60)

    results: list[object] = []
    over = threading.Event()
    with RawServer(serve) as server, looping(server, read_timeout=3) as (loop, hub):
        loop.send(LARGE, results.append)
        turn_until(hub, results)
        # It does not end once more.
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            hub.run_once()
        over.set()
    assert [type(result) for result in results] == [OutcomeUnknown]


def test_nothing_goes_out_after_its_time() -> None:
    requests: list[object] = []

    def serve(connection: socket.socket) -> None:
        while (request := read_request(connection)) is not None:
            requests.append(request)
            connection.sendall(ACCEPTED)

    results: list[object] = []
    with RawServer(serve) as server, looping(server) as (loop, hub):
        loop.send(SMALL, results.append, latest=time.monotonic() - 1)
        turn_until(hub, results)
        (result,) = results
        assert isinstance(result, TooLate)
        assert requests == []
        results.clear()
        # The connection that was made for it is as good as any.
        loop.send(SMALL, results.append)
        turn_until(hub, results)
    assert results == ["id-1"]
    assert len(server.connections) == 1
