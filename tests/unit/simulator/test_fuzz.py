"""Malformed requests by the thousand: nothing may crash, answer 500, or grow without bound.

The suite tries the same twelve hundred each time. A hundred times as many, and others each time, are tried by
``pytest tests/unit/simulator/test_fuzz.py --hypothesis-profile=long``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailer.simulator import content
from mailer.simulator.api.endpoint import Api
from mailer.simulator.client import Simulator
from mailer.simulator.control import preview
from mailer.simulator.control.summaries import Summaries, duplicates
from mailer.simulator.errors import Refused
from mailer.simulator.exchange import Request
from mailer.simulator.inbox import Submission
from mailer.simulator.mime import read
from mailer.simulator.options import Options
from mailer.simulator.service import Service
from tests.support.strategies import mostly, tries
from tests.unit.simulator import calls
from tests.unit.simulator.conftest import mail, open_ses

_FREE = {"rate": 1e9, "quota": -1, "control_rate": 0}
_REPLY = re.compile(rb"\d{3}[ -][^\r\n]*\r?\n?")


@dataclass(frozen=True)
class Target:
    """A simulator, and the memory that it takes at first."""

    simulator: Simulator
    megabytes: float


def megabytes(pid: int | None = None) -> float:
    return float(psutil.Process(pid).memory_info().rss) / 1e6


def room() -> float:
    """Megabytes that this process may take more than before. Hypothesis keeps 10,000 examples, some 35 kB of each."""
    return 100 + 0.04 * settings().max_examples


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    bounds = {"keep": 200, "keep_bytes": 4_000_000, "keep_rows": 5_000}
    with Simulator(smtp_insecure=True, **_FREE, **bounds) as simulator:  # type: ignore[arg-type]
        yield Target(simulator, megabytes(simulator.pid))


def test_no_sequence_of_calls_makes_the_api_crash_and_what_it_took_can_be_read_back() -> None:
    before = megabytes()
    made = mostly(calls.v2_calls, calls.v1_calls, one_in=3)
    signed = mostly(st.just({}), calls.authorizations, one_in=10)

    @tries(140)
    @given(st.lists(st.tuples(made, signed), min_size=1, max_size=8))
    def attempt(sequence: list[tuple[calls.Call, dict[bytes, bytes]]]) -> None:
        bounds = {"keep": 100, "keep_bytes": 1 << 20, "keep_rows": 2000}
        service = Service(Options(configuration_set=("main",), seed=1, **_FREE, **bounds))  # type: ignore[arg-type]
        api = Api(service)
        summaries = Summaries(service.inbox)
        for number, ((method, url, body), authorization) in enumerate(sequence):
            path, _, query = url.partition("?")
            headers = {b"host": b"localhost", b"amz-sdk-invocation-id": b"%x" % number, **authorization}
            request = Request(method, path, query.encode("latin-1", "replace"), headers, body)
            assert 200 <= api.handle(request).status < 500
        for event in service.events.events():
            json.dumps(service.events.render(event))
        asyncio.run(duplicates(service.inbox, summaries))
        for message in service.inbox.messages():
            json.dumps(content.parse(message.submission))
            preview.html(message.submission)

    attempt()
    assert megabytes() < before + room()


def test_any_mime_can_be_shown_whether_it_is_taken_or_not() -> None:
    before = megabytes()

    @tries(180)
    @given(calls.messages)
    def attempt(data: bytes) -> None:
        with contextlib.suppress(Refused):
            data = read(data).data
        submission = Submission("us-east-1", "http", "a@x.co", ("b@x.co",), "mime", data, {})
        json.dumps(content.parse(submission))
        preview.html(submission)

    attempt()
    assert megabytes() < before + room()


def test_every_answer_over_http_is_one_and_none_tells_of_a_crash(target: Target) -> None:
    url = urlsplit(target.simulator.url)

    @tries(380)
    @given(st.lists(calls.requests, min_size=1, max_size=3).map(b"".join))
    def attempt(sent: bytes) -> None:
        received = exchange((str(url.hostname), int(url.port or 0)), sent)
        before, *answers = received.split(b"HTTP/1.1 ")
        assert not before
        assert all(answer[:3] < b"500" for answer in answers)

    attempt()


def test_every_answer_over_smtp_is_a_reply_and_none_tells_of_a_crash(target: Target) -> None:
    @tries(36)
    @given(calls.sessions)
    def attempt(sent: bytes) -> None:
        received = exchange(target.simulator.smtp, sent, greeted=True)
        assert received
        assert _REPLY.sub(b"", received) == b""
        assert b"451 Temporary" not in received

    attempt()


def test_after_all_of_that_it_still_takes_mail_and_has_not_grown(target: Target) -> None:
    target.simulator.reset()
    open_ses(target.simulator.url).send_email(**mail())
    assert len(target.simulator.messages()) == 1
    assert megabytes(target.simulator.pid) < target.megabytes + 60


def exchange(address: tuple[str, int], sent: bytes, *, greeted: bool = False) -> bytes:
    """What comes back until the connection ends. Silence is an error."""
    with socket.create_connection(address, timeout=20) as connection:
        # A reset takes with it what is not read yet, so a greeting is read first.
        received = connection.recv(1 << 16) if greeted else b""
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(1 << 16):
                received += piece
        except TimeoutError:
            raise
        except OSError:
            pass  # refused in the middle of what it was sent
    return received
