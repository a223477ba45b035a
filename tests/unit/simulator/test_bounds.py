"""What a client can make the simulator hold or wait for has an end: over HTTP and SMTP, in requests and connections."""

from __future__ import annotations

import json
import smtplib
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import psutil
import pytest

from mailer.simulator.client import Simulator
from tests.unit.simulator.conftest import Ses, mail, open_ses
from tests.unit.simulator.webhook import until

HEAD = b"POST /v2/email/outbound-emails HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def strict() -> Iterator[Simulator]:
    """Little patience, and room for few."""
    with Simulator(
        smtp_insecure=True, connections=8, http_idle_seconds=1.0, smtp_idle_seconds=30, rate=1000, control_rate=0
    ) as simulator:
        yield simulator


def connected(simulator: Simulator) -> socket.socket:
    address = urlsplit(simulator.url)
    return socket.create_connection((str(address.hostname), address.port or 0), timeout=30)


def smtp_connected(simulator: Simulator) -> socket.socket:
    return socket.create_connection(simulator.smtp, timeout=30)


def answered(connection: socket.socket) -> bytes:
    """All that comes until the connection ends."""
    received = b""
    try:
        while piece := connection.recv(1 << 16):
            received += piece
    except ConnectionError:
        pass
    return received


def megabytes(simulator: Simulator) -> float:
    return float(psutil.Process(simulator.pid).memory_info().rss) / 1e6


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"414"),
        (HEAD + b"".join(b"X-%d: y\r\n" % number for number in range(200)) + b"\r\n", b"431"),
        (HEAD + b"X: " + b"y" * 100_000 + b"\r\n\r\n", b"431"),
        (HEAD + b"Content-Length: 100000000000\r\n\r\n", b"413"),
        (HEAD + b"Content-Length: " + b"9" * 500 + b"\r\n\r\n", b"4"),
    ],
    ids=["url", "headers", "header", "body", "length"],
)
def test_a_request_that_is_too_large_is_refused_before_it_is_there(
    simulator: Simulator, request_: bytes, status: bytes
) -> None:
    with connected(simulator) as connection:
        connection.sendall(request_)
        assert answered(connection).startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize("piece", [b"x" * 1000, b"a" * 500 + b": " + b"b" * 500 + b"\r\n"], ids=["one", "many"])
def test_a_head_without_an_end_is_not_kept(simulator: Simulator, piece: bytes) -> None:
    before = megabytes(simulator)
    with connected(simulator) as connection:
        connection.sendall(HEAD + b"X-")
        try:
            for _ in range(20_000):
                connection.sendall(piece)
        except ConnectionError:
            pass
        else:
            pytest.fail("20 MB of a head were taken")
    assert megabytes(simulator) < before + 10


def test_a_body_in_small_pieces_takes_no_more_room_than_its_bytes(simulator: Simulator) -> None:
    before = megabytes(simulator)
    with connected(simulator) as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        connection.sendall(b"2\r\nxy\r\n" * 1_000_000)
        time.sleep(0.5)
        assert megabytes(simulator) < before + 20


def test_who_reads_no_answers_gets_no_more_of_them(simulator: Simulator, ses: Ses) -> None:
    call = mail()
    call["Content"]["Simple"]["Body"]["Text"]["Data"] = "x" * 1_000_000
    ses.send_email(**call)
    before = megabytes(simulator)
    with connected(simulator) as connection:
        connection.sendall(b"GET /_sim/messages?fields=text HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500)
        time.sleep(1)
        assert megabytes(simulator) < before + 60, "500 answers of a megabyte each"
    assert simulator.messages(fields="to")


@pytest.mark.parametrize("sent", [b"", HEAD, HEAD + b"Content-Length: 10\r\n\r\nabc"], ids=["nothing", "head", "body"])
def test_who_keeps_us_waiting_is_sent_away(strict: Simulator, sent: bytes) -> None:
    with connected(strict) as connection:
        connection.sendall(sent)
        started = time.monotonic()
        assert b"200" not in answered(connection)
        assert time.monotonic() - started < 20


def test_who_sends_a_byte_now_and_then_is_sent_away_too(strict: Simulator) -> None:
    with connected(strict) as connection:
        started = time.monotonic()
        try:
            for byte in HEAD * 10:
                connection.sendall(bytes([byte]))
                time.sleep(0.1)
        except ConnectionError:
            pass
        assert time.monotonic() - started < 20


def test_an_idle_connection_ends_and_that_of_the_control_api_stays(strict: Simulator) -> None:
    body = json.dumps(mail()).encode()
    with connected(strict) as connection:
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        assert answered(connection).startswith(b"HTTP/1.1 200")
    strict.stats()
    time.sleep(2.5)
    strict.stats()


def test_those_that_wait_make_room_for_the_next(strict: Simulator) -> None:
    waiting = [connected(strict) for _ in range(30)]
    try:
        open_ses(strict.url).send_email(**mail())
        assert strict.stats()["connections"]["http"]["open"] <= 9
    finally:
        for each in waiting:
            each.close()


def test_smtp_has_room_for_so_many_and_the_ones_that_send_nothing_make_way(strict: Simulator) -> None:
    waiting = [smtp_connected(strict) for _ in range(20)]
    try:
        with smtplib.SMTP(*strict.smtp, timeout=30) as client:
            client.sendmail("a@example.com", ["b@example.com"], b"From: a@example.com\r\n\r\nHello\r\n")
        until(lambda: strict.stats()["connections"]["smtp"]["open"] <= 8)
    finally:
        for each in waiting:
            each.close()
    until(lambda: strict.stats()["connections"]["smtp"]["open"] == 0)


def in_data(simulator: Simulator) -> socket.socket:
    connection = smtp_connected(simulator)
    for line in (b"EHLO x", b"MAIL FROM:<a@example.com>", b"RCPT TO:<b@example.com>", b"DATA"):
        connection.recv(4096)
        connection.sendall(line + b"\r\n")
        time.sleep(0.05)
    until(lambda: b"354" in connection.recv(4096))
    return connection


@pytest.mark.parametrize(
    ("piece", "count"),
    [(b"x" * 1_000_000, 200), (b"\r\n" * 500_000, 20), (b"x" * 900 + b"\r\n", 200_000)],
    ids=["one line", "empty lines", "lines"],
)
def test_a_message_without_an_end_is_not_kept(strict: Simulator, piece: bytes, count: int) -> None:
    before, most = megabytes(strict), 0.0
    with in_data(strict) as connection:
        try:
            for number in range(count):
                connection.sendall(piece)
                if number % max(1, count // 50) == 0:
                    most = max(most, megabytes(strict))
        except ConnectionError:
            pass
        else:
            pytest.fail(f"{len(piece) * count} bytes were taken")
    assert most < before + 250, "of a message that may have 40 MB"


def test_recipients_have_an_end(strict: Simulator) -> None:
    with smtplib.SMTP(*strict.smtp, timeout=30) as client:
        client.ehlo()
        client.mail("a@example.com")
        answers = [client.rcpt(f"r{number}@example.com")[0] for number in range(1005)]
        assert answers == [250] * 1000 + [452] * 5


def test_who_guesses_passwords_is_sent_away() -> None:
    with (
        Simulator(smtp_insecure=True, secret="AKIDEXAMPLE:secret") as simulator,
        smtplib.SMTP(*simulator.smtp, timeout=30) as client,
    ):
        client.ehlo()
        answers = [client.docmd("AUTH", "PLAIN AGEAYg==")[0] for _ in range(11)]
        assert answers == [535] * 10 + [421]
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.noop()


def test_regions_have_an_end_and_names(simulator: Simulator) -> None:
    for region in ("x" * 41, "eu west", "", "<b>"):
        request = HEAD + b"Authorization: AWS4-HMAC-SHA256 Credential=a/20300101/%s/ses/aws4_request, x\r\n"
        with connected(simulator) as connection:
            connection.sendall(request % region.encode() + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}")
            assert answered(connection).startswith(b"HTTP/1.1 400")
    assert not {"x" * 41, "eu west", "<b>"} & set(simulator.stats()["regions"])


def test_queues_their_messages_and_attributes_have_an_end(simulator: Simulator) -> None:
    def asked(operation: str, **call: object) -> int:
        body = json.dumps(call).encode()
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Amz-Target: AmazonSQS.%s\r\n"
        with connected(simulator) as connection:
            connection.sendall(head % operation.encode() + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            return int(answered(connection)[9:12])

    assert asked("CreateQueue", QueueName="full") == 200
    url = "http://localhost/1/full"
    assert asked("SendMessage", QueueUrl=url, MessageBody="x" * 1_100_000) == 400
    assert asked("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=True) == 400
    before = megabytes(simulator)
    for _ in range(150):
        assert asked("SendMessage", QueueUrl=url, MessageBody="x" * 1_000_000) == 200
    assert megabytes(simulator) < before + 100
    assert asked("SetQueueAttributes", QueueUrl=url, Attributes={f"a{number}": "x" for number in range(51)}) == 400
    assert asked("SetQueueAttributes", QueueUrl=url, Attributes={"a": "x" * 70_000}) == 400
