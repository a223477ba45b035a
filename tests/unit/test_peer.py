"""Whose the other end of a connection is: by the kernel's own answer, and by its table of all connections."""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from mailer.user import Ends, Teller, UserGuard, ask_kernel, find_teller, name_of, read_table, user_of_peer
from tests.support.another_user import NOBODY, THIRD, as_another, needs_two_users

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose a connection is")

ADDRESSES = [
    ("127.0.0.1", "127.0.0.1"),
    ("127.0.0.1", "::ffff:127.0.0.1"),
    ("::1", "::1"),
    ("::", "127.0.0.1"),
    ("::", "::1"),
]
"""Where a server listens, and where a client of it connects to."""


@pytest.fixture(params=[ask_kernel, read_table])
def teller(request: pytest.FixtureRequest) -> Teller:
    found: Teller = request.param
    return found


@contextmanager
def connected(
    listens: str = "127.0.0.1", connects: str | None = None
) -> Iterator[tuple[socket.socket, socket.socket, socket.socket]]:
    """A listener, its end of a connection, and the client's."""
    family = socket.AF_INET6 if ":" in listens else socket.AF_INET
    try:
        listener = socket.create_server((listens, 0), family=family, dualstack_ipv6=listens == "::")
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with listener, socket.create_connection((connects or listens, listener.getsockname()[1])) as client:
        ours = listener.accept()[0]
        with ours:
            yield listener, ours, client


@contextmanager
def overtaken() -> Iterator[None]:
    """Another user connects to the next address that this process connects to, a moment before it does."""
    strangers: list[socket.socket] = []
    waits = [True]

    def overtake(event: str, arguments: tuple[object, ...]) -> None:
        if event == "socket.connect" and waits:
            waits.clear()
            os.seteuid(NOBODY)
            try:
                strangers.append(socket.create_connection(arguments[1]))  # type: ignore[arg-type]
            finally:
                os.seteuid(0)

    sys.addaudithook(overtake)
    yield
    assert strangers
    for each in strangers:
        each.close()


@contextmanager
def served(answer: Callable[[socket.socket], str]) -> Iterator[Callable[[], str]]:
    """A listener that tells each client ``answer``. Gives what asks it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection = listener.accept()[0]
                    with connection:
                        connection.sendall(answer(connection).encode())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = listener.getsockname()[1]

        def ask() -> str:
            with socket.create_connection(("127.0.0.1", port), timeout=30) as client, client.makefile() as said:
                return said.read()

        yield ask
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(30)


def end_abruptly(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def test_this_system_tells() -> None:
    assert find_teller() is ask_kernel


@pytest.mark.parametrize(("listens", "connects"), ADDRESSES)
def test_a_connection_of_ours_is_ours(teller: Teller, listens: str, connects: str) -> None:
    with connected(listens, connects) as (_, ours, client):
        assert user_of_peer(ours, teller) == os.geteuid()
        assert user_of_peer(client, teller) == os.geteuid()
        client.shutdown(socket.SHUT_WR)
        assert user_of_peer(ours, teller) == os.geteuid(), "it is half closed: somebody waits for the answer"


@pytest.mark.parametrize("end", [socket.socket.close, end_abruptly])
def test_what_was_closed_is_nobodys(teller: Teller, end: Callable[[socket.socket], None]) -> None:
    """The kernel says root of it: whoever sends something and closes is not taken for root."""
    with connected() as (_, ours, client):
        ends = Ends.of(ours)
        client.sendall(b"x")
        end(client)
        assert user_of_peer(ours, teller) is None
        assert teller(ends) is None


def test_a_listener_in_the_place_of_what_was_closed_is_not_taken_for_it(teller: Teller) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_server(("127.0.0.1", 0), reuse_port=True) as other,
        socket.socket() as client,
    ):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other_port = other.getsockname()[1]
        other.close()
        client.bind(("127.0.0.1", other_port))
        client.connect(listener.getsockname())
        ours = listener.accept()[0]
        with ours, socket.socket() as again:
            ends = Ends.of(ours)
            assert teller(ends) == os.geteuid()
            end_abruptly(client)
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            again.bind(("127.0.0.1", other_port))
            again.listen()
            assert teller(ends) is None


@needs_two_users
def test_a_connection_of_another_user_is_theirs(teller: Teller) -> None:
    with served(lambda connection: str(user_of_peer(connection, teller))) as ask:
        assert [as_another(ask), as_another(ask, THIRD), ask()] == [str(NOBODY), str(THIRD), "0"]


def test_over_a_unix_socket_it_is_told_too() -> None:
    guard = UserGuard((), everybody="")
    ours, other = socket.socketpair()
    with ours, other:
        assert guard.refusal(ours) is None
        assert user_of_peer(ours, ask_kernel) == os.geteuid()


@needs_two_users
def test_its_user_root_and_who_is_allowed_are_answered() -> None:
    """By a server of nobody's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = os.fork()
        if server == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            guard = UserGuard(["4711"], everybody="")
            while True:
                connection = listener.accept()[0]
                with connection:
                    connection.sendall((guard.refusal(connection) or "answered").encode())
        try:

            def ask() -> str:
                with socket.create_connection(listener.getsockname(), timeout=30) as client, client.makefile() as said:
                    return said.read()

            assert ask() == "answered"
            assert as_another(ask, NOBODY) == "answered"
            assert as_another(ask, 4711) == "answered"
            said = as_another(ask, THIRD)
            assert said.startswith(f"this port is for {name_of(NOBODY)}, and {name_of(THIRD)} asks.")
            assert "--allow-user=" in said
        finally:
            os.kill(server, signal.SIGKILL)
            os.waitpid(server, 0)


def test_who_is_gone_is_refused_with_the_way_to_let_everybody_in() -> None:
    guard = UserGuard((), everybody="open the door")
    with connected() as (_, ours, client):
        assert guard.refusal(ours) is None
        client.close()
        assert "open the door" in str(guard.refusal(ours))
    assert "open the door" in str(guard.refusal(None))


def test_a_user_whom_nobody_knows_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="'no-such-user' is no user of this host"):
        UserGuard(["no-such-user"], everybody="")


@needs_two_users
def test_a_stranger_who_is_first_at_a_port_does_not_make_this_system_one_that_tells_nothing() -> None:
    usual = find_teller()
    assert usual is not None
    with overtaken():
        assert find_teller() is usual
