"""The promise of a send, rule by rule: no socket, no clock, no thread."""

from __future__ import annotations

import pytest

from mailer.errors import OutcomeUnknown, SendError, TooLate, Unavailable
from mailer.ses.curl.exchange import Exchange
from mailer.ses.curl.http_answer import Answer

REQUEST = b"POST / HTTP/1.1\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
BROKEN = ("SEND_ERROR", "Send failure")
LATEST, READ_TIMEOUT = 10.0, 30.0


def begun(*, kept: bool, out: int = 0) -> Exchange:
    """One on a connection, with so many bytes of it out."""
    exchange = Exchange(REQUEST, LATEST, READ_TIMEOUT)
    exchange.connected(1.0, kept=kept)
    exchange.sent(out)
    return exchange


def sent(*, kept: bool = True) -> Exchange:
    return begun(kept=kept, out=len(REQUEST))


def error_of(exchange: Exchange) -> SendError:
    assert exchange.state == "done"
    assert isinstance(exchange.result, SendError)
    return exchange.result


def test_it_connects_sends_waits_and_is_done() -> None:
    exchange = Exchange(REQUEST, LATEST, READ_TIMEOUT)
    states = [exchange.state]
    exchange.connected(1.0, kept=True)
    states.append(exchange.state)
    exchange.sent(5)
    assert bytes(exchange.unsent) == REQUEST[5:]
    states.append(exchange.state)
    exchange.sent(len(REQUEST) - 5)
    states.append(exchange.state)
    exchange.received(ANSWER)
    states.append(exchange.state)
    assert states == ["connecting", "sending", "sending", "waiting", "done"]
    assert exchange.result == Answer(200, {"content-length": "2"}, b"{}", reusable=True)


@pytest.mark.parametrize("out", [0, 1, len(REQUEST) - 1])
def test_one_cut_off_before_its_last_byte_on_a_kept_connection_goes_out_on_a_new_one(out: int) -> None:
    exchange = begun(kept=True, out=out)
    exchange.broken(*BROKEN, now=LATEST)
    assert (exchange.state, exchange.takes_kept, exchange.reusable) == ("connecting", False, False)
    exchange.connected(LATEST, kept=False)
    assert (exchange.state, bytes(exchange.unsent)) == ("sending", REQUEST)


def test_it_gets_a_new_connection_once() -> None:
    exchange = begun(kept=True)
    exchange.broken(*BROKEN, now=2.0)
    exchange.connected(3.0, kept=False)
    exchange.broken(*BROKEN, now=4.0)
    assert isinstance(error_of(exchange), Unavailable)


def test_one_cut_off_on_a_new_connection_was_surely_not_sent() -> None:
    exchange = begun(kept=False, out=3)
    exchange.broken(*BROKEN, now=2.0)
    assert error_of(exchange).code == "SEND_ERROR"
    assert isinstance(exchange.result, Unavailable)


def test_one_cut_off_when_there_is_no_time_left_gets_no_new_connection() -> None:
    exchange = begun(kept=True)
    exchange.broken(*BROKEN, now=LATEST + 0.1)
    assert isinstance(error_of(exchange), Unavailable)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("received", [b"", ANSWER[:20]])
def test_one_that_is_out_whole_is_never_sent_again(kept: bool, received: bytes) -> None:
    exchange = sent(kept=kept)
    if received:
        exchange.received(received)
    exchange.broken("RECV_ERROR", "Recv failure", now=2.0)
    assert isinstance(error_of(exchange), OutcomeUnknown)
    assert not exchange.reusable


@pytest.mark.parametrize("received", [b"", ANSWER[:20], ANSWER[:-1]])
def test_the_end_of_the_stream_before_that_of_the_answer_leaves_it_unknown(received: bytes) -> None:
    exchange = sent()
    if received:
        exchange.received(received)
    assert exchange.state == "waiting"
    exchange.received(b"")
    assert (type(error_of(exchange)), error_of(exchange).code) == (OutcomeUnknown, "ConnectionClosed")


def test_an_answer_that_is_no_http_leaves_it_unknown() -> None:
    exchange = sent()
    exchange.received(b"SSH-2.0-")
    assert (type(error_of(exchange)), error_of(exchange).code) == (OutcomeUnknown, "MalformedAnswer")
    assert not exchange.reusable


def test_an_answer_comes_in_pieces() -> None:
    exchange = sent()
    for byte in ANSWER:
        assert exchange.state == "waiting"
        exchange.received(bytes([byte]))
    assert exchange.state == "done"


@pytest.mark.parametrize("kept", [True, False])
def test_nothing_goes_out_after_its_latest_moment_and_the_connection_is_as_good_as_before(kept: bool) -> None:
    exchange = Exchange(REQUEST, LATEST, READ_TIMEOUT)
    exchange.connected(LATEST + 0.1, kept=kept)
    assert isinstance(error_of(exchange), TooLate)
    assert exchange.reusable


def test_the_answer_must_come_within_the_read_timeout_of_the_beginning_on_each_connection() -> None:
    exchange = begun(kept=True)
    assert exchange.deadline == 1.0 + READ_TIMEOUT
    exchange.broken(*BROKEN, now=5.0)
    exchange.connected(6.0, kept=False)
    assert exchange.deadline == 6.0 + READ_TIMEOUT


def test_one_out_of_time_before_its_last_byte_was_surely_not_sent() -> None:
    exchange = begun(kept=True, out=len(REQUEST) - 1)
    exchange.out_of_time()
    assert (type(error_of(exchange)), error_of(exchange).code) == (Unavailable, "SendTimeout")
    assert not exchange.reusable


def test_one_out_of_time_after_its_last_byte_is_unknown() -> None:
    exchange = sent()
    exchange.received(ANSWER[:-1])
    exchange.out_of_time()
    assert (type(error_of(exchange)), error_of(exchange).code) == (OutcomeUnknown, "ReadTimeout")
    assert not exchange.reusable


@pytest.mark.parametrize(
    ("answer", "reusable"),
    [
        (ANSWER, True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", False),
        (ANSWER + b"more", False),
    ],
)
def test_a_connection_carries_another_request_where_the_answer_lets_it(answer: bytes, reusable: bool) -> None:
    exchange = sent()
    exchange.received(answer)
    assert exchange.reusable is reusable
