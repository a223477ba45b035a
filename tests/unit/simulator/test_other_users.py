"""Other users of the host against the simulator: over every one of its ports they read nothing and change nothing."""

from __future__ import annotations

import http.client
import os
import signal
import smtplib
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest

from mailer.simulator.client import Simulator
from mailer.user import name_of
from tests.support.another_user import NOBODY, THIRD, as_another, needs_two_users
from tests.unit.simulator.conftest import mail, open_ses
from tests.unit.simulator.test_guard import REQUESTS, SEND, asked

LETTER = b"From: a@example.com\r\nTo: b@example.com\r\nSubject: Stolen\r\n\r\nHi.\r\n"
SESSION = b"EHLO x\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n" + LETTER + b".\r\nQUIT\r\n"
RESET = b"POST /_sim/reset HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Simulator]:
    """SMTP asks for neither TLS nor a login, so that nothing else keeps anybody out."""
    with Simulator(rate=1000, control_rate=0, smtps=True, smtp_insecure=True, connections=30) as simulator:
        yield simulator


@pytest.fixture
def simulator(guarded: Simulator) -> Simulator:
    guarded.reset()
    open_ses(guarded.url).send_email(**mail("mine@example.com"))
    guarded.add_fault("slow-read", bytes_per_second=1000, count=1)
    guarded.add_queue("mine")
    return guarded


def state(simulator: Simulator) -> Any:
    return (
        [message["to"] for message in simulator.messages()],
        simulator.faults(),
        simulator.destinations(),
        simulator.account(),
        [(each["eventType"], each["mail"]["destination"]) for each in simulator.events()],
    )


def talked(at: tuple[str, int], said: bytes, *, tls: bool = False) -> bytes:
    """All that is answered to a whole session that waits for no answer."""
    heard = b""
    with socket.create_connection(at, timeout=30) as plain:
        connection = plain
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = context.wrap_socket(plain)
        try:
            connection.sendall(said)
            while piece := connection.recv(1 << 16):
                heard += piece
        except OSError:
            pass
    return heard


@needs_two_users
def test_another_user_reads_and_changes_nothing_over_http(simulator: Simulator) -> None:
    before = state(simulator)
    for method, path, body, headers in [*REQUESTS, ("GET", "/", "", {}), ("GET", "/_sim/stats", "", {})]:
        said = as_another(partial(asked, simulator.url, method, path, body, headers))
        assert said.startswith("(403, "), (method, path, said)
        assert method == "HEAD" or f"--allow-user={name_of(NOBODY)}" in said
        assert "mine@example.com" not in said
    assert state(simulator) == before
    assert asked(simulator.url, "GET", "/_sim/messages")[0] == 200


@needs_two_users
def test_another_user_is_told_so_in_the_words_of_the_api(simulator: Simulator) -> None:
    def send() -> str:
        try:
            open_ses(simulator.url).send_email(**mail("stolen@example.com"))
        except Exception as error:  # noqa: BLE001 - it is what is looked at
            return str(error)
        return "sent"

    said = as_another(send)
    assert "AccessDeniedException" in said
    assert f"{name_of(NOBODY)} asks" in said


@needs_two_users
def test_another_user_sends_nothing_over_smtp(simulator: Simulator) -> None:
    before = state(simulator)

    def greeted(connect: Callable[[], smtplib.SMTP]) -> str:
        try:
            connect()
        except smtplib.SMTPConnectError as error:
            return f"{error.smtp_code} {error.smtp_error!r}"
        return "let in"

    for connect in (
        partial(smtplib.SMTP, *simulator.smtp, timeout=30),
        partial(smtplib.SMTP_SSL, *simulator.smtps, timeout=30, context=ssl._create_unverified_context()),  # noqa: S323
    ):
        said = as_another(partial(greeted, connect))
        assert said.startswith("554 ")
        assert f"--allow-user={name_of(NOBODY)}" in said
        assert greeted(connect) == "let in"
    for at, tls in ((simulator.smtp, False), (simulator.smtps, True)):
        said = as_another(partial(talked, at, SESSION, tls=tls))
        assert "250 " not in said
    assert state(simulator) == before
    assert b"250 Ok " in talked(simulator.smtp, SESSION), "the same session of this user is taken"


@needs_two_users
@pytest.mark.parametrize("abruptly", [False, True])
def test_who_is_gone_before_anybody_looks_is_not_taken_for_root(simulator: Simulator, abruptly: bool) -> None:
    """The kernel gives what was closed to root."""
    before = state(simulator)
    address = urlsplit(simulator.url)

    def leave() -> None:
        for at, said in (((str(address.hostname), address.port), RESET), (simulator.smtp, SESSION)):
            for _ in range(5):
                client = socket.create_connection(at, timeout=30)
                client.sendall(said)
                if abruptly:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()

    os.kill(simulator.pid, signal.SIGSTOP)
    try:
        assert as_another(leave) == "None"
    finally:
        os.kill(simulator.pid, signal.SIGCONT)
    assert state(simulator) == before


@needs_two_users
def test_another_user_takes_no_room_from_ours(simulator: Simulator) -> None:
    address = urlsplit(simulator.url)
    ours = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    ours.request("GET", "/_sim/account")
    ours.getresponse().read()

    def crowd() -> str:
        held = [socket.create_connection((address.hostname, address.port), timeout=30) for _ in range(100)]
        for each in held:
            each.sendall(b"POST /v2/email/outbound-emails HTTP/1.1\r\n")
        with suppress(ConnectionResetError):
            assert held[0].recv(1) == b""
        return "the first made room"

    assert as_another(crowd) == "the first made room"
    ours.request("GET", "/_sim/account")
    assert ours.getresponse().status == 200
    ours.close()


@needs_two_users
def test_users_who_are_named_are_let_in() -> None:
    with Simulator(smtp_insecure=True, allow_user=[f"{THIRD},root", NOBODY]) as simulator:
        for uid in (NOBODY, THIRD):
            assert as_another(partial(asked, simulator.url, *SEND), uid).startswith("(200, ")
            assert "250 Ok " in as_another(partial(talked, simulator.smtp, SESSION), uid)
        assert as_another(partial(asked, simulator.url, *SEND), THIRD + 1).startswith("(403, ")


@needs_two_users
def test_who_lets_in_other_hosts_lets_in_other_users() -> None:
    with Simulator(smtp=False, allow_remote=True) as simulator:
        assert as_another(partial(asked, simulator.url, *SEND)).startswith("(200, ")


def test_a_user_whom_nobody_knows_is_refused_at_the_start() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mailer.simulator", "--port", "0", "--allow-user", "no-such-user"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "'no-such-user' is no user of this host" in done.stderr
