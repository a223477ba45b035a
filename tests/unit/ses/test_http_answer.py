from __future__ import annotations

import pytest

from mailer.ses.curl.http_answer import NotHttp, parse_answer

PLAIN = b"HTTP/1.1 429 Too Many Requests\r\nX-Amzn-ErrorType: TooMany:http\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\n{ab\r\n1\r\n}\r\n0\r\nTrailer: t\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN


@pytest.mark.parametrize(("whole", "body"), [(PLAIN, b"{}"), (CHUNKED, b"{ab}"), (INTERIM, b"{}")])
def test_an_answer_is_complete_with_its_last_byte_and_not_before(whole: bytes, body: bytes) -> None:
    for size in range(len(whole)):
        assert parse_answer(whole[:size]) is None, whole[:size]

    answer = parse_answer(whole)

    assert answer is not None
    assert answer.body == body
    assert answer.reusable


def test_header_names_are_lower_case() -> None:
    answer = parse_answer(PLAIN)

    assert answer is not None
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (429, "TooMany:http")


@pytest.mark.parametrize(
    "data",
    [
        PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
        PLAIN + b"HTTP/1.1 200",
    ],
    ids=["asked to close", "HTTP/1.0", "more than was asked for"],
)
def test_some_answers_end_the_use_of_their_connection(data: bytes) -> None:
    answer = parse_answer(data)

    assert answer is not None
    assert not answer.reusable


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    data = b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>"

    assert parse_answer(data) is None
    answer = parse_answer(data, ended=True)
    assert answer is not None
    assert (answer.body, answer.reusable) == (b"<html>", False)


@pytest.mark.parametrize(
    "data",
    [
        b"220 smtp.example.com ESMTP",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1024 * 1024),
    ],
)
def test_what_is_not_http_is_refused(data: bytes) -> None:
    with pytest.raises(NotHttp):
        parse_answer(data)
