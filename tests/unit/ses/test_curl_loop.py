"""Sends on an event loop: each goes out once and ends once."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kombu.asynchronous import Hub

from mailer.errors import HostUnfit, OutcomeUnknown, TooLate
from mailer.mail.address import parse
from mailer.mail.attachment import Attachment
from mailer.mail.content import Structured
from mailer.mail.message import Message
from mailer.ses.access import ClientConfig
from mailer.ses.curl.loop import CurlLoop
from mailer.ses.curl.transport import CurlTransport
from tests.support.servers import ACCEPTED, RawServer, read_request

FIELDS: dict[str, Any] = {"sender": "a@example.com", "subject": "Hi", "text": "Hi"}
SMALL = Message("m", parse("b@example.com"), Structured(**FIELDS))
# More than a socket's buffers hold, so that a helper has to wait for the server to read.
LARGE = Message(
    "m",
    parse("b@example.com"),
    Structured(**FIELDS, attachments=(Attachment("a.bin", b"x" * 12_000_000, "application/octet-stream"),)),
)


@contextmanager
def looping(server: RawServer, read_timeout: float = 20.0) -> Iterator[tuple[CurlLoop, Hub]]:
    with CurlTransport(
        ClientConfig(endpoint_url=server.url, connect_timeout=10, read_timeout=read_timeout)
    ) as transport:
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
        loop.begin(LARGE, results.append)
        deadline = time.monotonic() + 60
        while not any(each.state == "sending" for each, _ in loop._sends.values()) and time.monotonic() < deadline:
            hub.run_once()
        assert loop.in_flight == 1
        read_on.set()
        loop.drain(60)
        assert loop.in_flight == 0
    assert results == ["id-1"]


def test_a_large_send_that_gets_no_answer_ends_once() -> None:
    def serve(connection: socket.socket) -> None:
        read_request(connection)
        over.wait(60)

    results: list[object] = []
    over = threading.Event()
    with RawServer(serve) as server, looping(server, read_timeout=3) as (loop, hub):
        loop.begin(LARGE, results.append)
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
        loop.begin(SMALL, results.append, latest=time.monotonic() - 1)
        turn_until(hub, results)
        (result,) = results
        assert isinstance(result, TooLate)
        assert requests == []
        results.clear()
        # The connection that was made for it is as good as any.
        loop.begin(SMALL, results.append)
        turn_until(hub, results)
    assert results == ["id-1"]
    assert len(server.connections) == 1


def test_a_completion_that_breaks_off_disturbs_neither_the_loop_nor_the_other_sends() -> None:
    def serve(connection: socket.socket) -> None:
        while read_request(connection) is not None:
            connection.sendall(ACCEPTED)

    def break_off(_: object) -> None:
        broken.append(None)
        raise KeyError("a defect")

    results: list[object] = []
    broken: list[object] = []
    with RawServer(serve) as server, looping(server) as (loop, hub):
        loop.begin(SMALL, break_off)
        turn_until(hub, broken)
        loop.help(lambda: None, break_off)
        loop.call_soon(lambda: break_off(None))
        loop.begin(SMALL, results.append)
        while loop.in_flight:
            hub.run_once()
    assert (results, len(broken)) == (["id-1"], 3)


def test_the_loop_and_a_blocking_send_use_the_same_connections() -> None:
    def serve(connection: socket.socket) -> None:
        while read_request(connection) is not None:
            connection.sendall(ACCEPTED)

    results: list[object] = []
    with (
        RawServer(serve) as server,
        CurlTransport(ClientConfig(endpoint_url=server.url)) as transport,
    ):
        transport.prepare(1)
        loop, hub = CurlLoop(transport), Hub()
        loop.attach(hub)
        results.append(transport.send(SMALL))
        loop.begin(SMALL, results.append)
        while loop.in_flight:
            hub.run_once()
        results.append(transport.send(SMALL))
        hub.close()
    assert results == ["id-1"] * 3
    assert len(server.connections) == 1


def test_credentials_that_ses_refuses_are_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(connection: socket.socket) -> None:
        while read_request(connection) is not None:
            connection.sendall(
                b"HTTP/1.1 403 No\r\nx-amzn-errortype: ExpiredTokenException\r\ncontent-length: 0\r\n\r\n"
            )

    results: list[object] = []
    with RawServer(serve) as server, looping(server) as (loop, hub):
        loop.begin(SMALL, results.append)
        turn_until(hub, results)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7ROTATED")
        credentials = loop._transport.credentials
        deadline = time.monotonic() + 60
        while credentials.current().access_key != "AKIAIOSFODNN7ROTATED" and time.monotonic() < deadline:
            time.sleep(0.05)
        assert credentials.current().access_key == "AKIAIOSFODNN7ROTATED"
    assert [type(result) for result in results] == [HostUnfit]
