"""What goes over the wire, seen by raw servers: above all, each request once."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from mailer.delivery.outcome import Kind, deliver
from mailer.ses.access import ClientConfig
from mailer.ses.transport import Transport
from mailer.ses.transports import open_transport
from mailer.settings import TransportKind
from mailer.simulator.client import Simulator
from mailer.testbed.waiting import free_port
from tests.support.servers import ACCEPTED, RawServer, read_request, reset
from tests.unit.ses.conftest import Opener, a_message


@pytest.fixture(params=["ses", "boto3"])
def over_http(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Transport]]:
    opened: list[Transport] = []

    def open_one(url: str) -> Transport:
        kind: TransportKind = request.param
        opened.append(open_transport(kind, ClientConfig(endpoint_url=url, connect_timeout=10.0, read_timeout=10.0)))
        return opened[-1]

    yield open_one
    for transport in opened:
        transport.close()


class Recorder:
    """Answers every request but the one numbered ``fails`` (from 0), which it hands to ``end`` unanswered."""

    def __init__(self, fails: int, end: Callable[[socket.socket], None]) -> None:
        self._fails = fails
        self._end = end
        self.bodies: list[bytes] = []
        self.server: RawServer | None = None

    def __call__(self, connection: socket.socket) -> None:
        while (request := read_request(connection)) is not None:
            self.bodies.append(request[1])
            if len(self.bodies) == self._fails + 1:
                self._end(connection)
                return
            connection.sendall(ACCEPTED)


@pytest.mark.parametrize("size", [100, 2_000_000], ids=["small", "large"])
@pytest.mark.parametrize("end", [reset, socket.socket.close], ids=["reset", "closed"])
def test_a_request_whose_kept_connection_dies_unanswered_is_seen_once(
    over_http: Callable[[str], Transport], end: Callable[[socket.socket], None], size: int
) -> None:
    recorder = Recorder(1, end)
    with RawServer(recorder) as server:
        transport = over_http(server.url)

        kinds = [deliver(a_message(text="x" * size, subject=f"number {n}"), transport).kind for n in range(3)]

    assert kinds == [Kind.SENT, Kind.UNKNOWN, Kind.SENT]
    assert [body.count(b"number %d" % n) for n, body in enumerate(recorder.bodies)] == [1, 1, 1]
    assert len(server.connections) == 2


def test_it_stays_unknown_when_the_server_is_gone_for_good(over_http: Callable[[str], Transport]) -> None:
    """The failure to connect again would say "surely not sent"."""

    def leave(connection: socket.socket) -> None:
        server.stop_listening()
        reset(connection)

    recorder = Recorder(1, leave)
    with RawServer(recorder) as server:
        transport = over_http(server.url)

        kinds = [deliver(a_message(), transport).kind for _ in range(3)]

    assert kinds == [Kind.SENT, Kind.UNKNOWN, Kind.UNREACHABLE]


@pytest.mark.parametrize(
    ("pause", "kind", "opened"), [(0.0, Kind.SENT, 2), (5.5, Kind.FAILED, 1)], ids=["soon", "late"]
)
def test_a_kept_connection_that_fails_late_leaves_no_time_for_another(pause: float, kind: Kind, opened: int) -> None:
    """The answer on a new one could come when the lease is over, and somebody else has sent the message."""

    def stall(connection: socket.socket) -> None:
        if len(server.connections) > 1:
            Recorder(-1, reset)(connection)
            return
        read_request(connection)
        connection.sendall(ACCEPTED)
        connection.recv(100)  # the next request has begun
        time.sleep(pause)
        reset(connection)

    with (
        RawServer(stall) as server,
        open_transport("ses", ClientConfig(endpoint_url=server.url, connect_timeout=5, read_timeout=30)) as transport,
    ):
        kinds = [deliver(a_message(), transport).kind, deliver(a_message(text="x" * 30_000_000), transport).kind]
        assert (kinds, len(server.connections)) == ([Kind.SENT, kind], opened)


def test_a_connection_that_takes_the_place_of_another_too_late_carries_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[bytes] = []

    def tunnel(client: socket.socket) -> None:
        """A proxy that answers for SES as well; its second tunnel is slow to come, and the first breaks."""
        assert read_request(client) is not None
        first = len(server.connections) == 1
        time.sleep(0 if first else 1.4)
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        while (request := read_request(client)) is not None:
            requests.append(request[1])
            client.sendall(ACCEPTED)
            if first:
                client.recv(100)  # the next request has begun
                time.sleep(1)
                reset(client)
                return

    with RawServer(tunnel) as server:
        monkeypatch.setenv("HTTP_PROXY", server.url)
        config = ClientConfig(endpoint_url="http://ses.invalid", connect_timeout=2, read_timeout=20)
        with open_transport("ses", config) as transport:
            assert deliver(a_message(), transport).kind is Kind.SENT
            outcome = deliver(a_message(text="x" * 30_000_000), transport)
            assert (outcome.kind, outcome.code, len(server.connections)) == (Kind.LATE, "TooLate", 2)
            assert deliver(a_message(), transport).kind is Kind.SENT
    assert len(requests) == 2


def test_a_connection_closed_between_requests_costs_nothing(over_http: Callable[[str], Transport]) -> None:
    def serve_one(connection: socket.socket) -> None:
        assert read_request(connection) is not None
        connection.sendall(ACCEPTED)
        connection.close()

    with RawServer(serve_one) as server:
        transport = over_http(server.url)

        for _ in range(5):
            assert deliver(a_message(), transport).kind is Kind.SENT
            time.sleep(0.02)

    assert len(server.connections) == 5


def test_an_answer_in_pieces_is_read_whole(over_http: Callable[[str], Transport]) -> None:
    def dribble(connection: socket.socket) -> None:
        while read_request(connection) is not None:
            for start in range(0, len(ACCEPTED), 20):
                connection.sendall(ACCEPTED[start : start + 20])
                time.sleep(0.005)

    with RawServer(dribble) as server:
        transport = over_http(server.url)

        assert [transport.send(a_message()) for _ in range(2)] == ["id-1", "id-1"]

    assert len(server.connections) == 1


def test_an_answer_that_never_ends_is_cut_off_by_the_read_timeout() -> None:
    def dribble(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"X: y\r\n")
            time.sleep(0.05)

    with (
        RawServer(dribble) as server,
        open_transport("ses", ClientConfig(endpoint_url=server.url, connect_timeout=10, read_timeout=0.5)) as transport,
    ):
        start = time.monotonic()
        outcome = deliver(a_message(), transport)

    assert (outcome.kind, outcome.code) == (Kind.UNKNOWN, "ReadTimeout")
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"HTTP/1.1 200 OK\r\nContent-"])
def test_an_acceptance_without_an_id_is_unknown(over_http: Callable[[str], Transport], answer: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(answer)
        connection.close()

    with RawServer(serve) as server:
        assert deliver(a_message(), over_http(server.url)).kind is Kind.UNKNOWN


def test_a_request_that_could_not_go_out_whole_was_surely_not_accepted() -> None:
    """The server reads nothing, so the socket's buffers fill up."""
    hold = threading.Event()

    def wait(_: socket.socket) -> None:
        hold.wait(60)

    with (
        RawServer(wait) as server,
        open_transport("ses", ClientConfig(endpoint_url=server.url, connect_timeout=10, read_timeout=0.3)) as transport,
    ):
        outcome = deliver(a_message(text="x" * 30_000_000), transport)
        hold.set()

    assert (outcome.kind, outcome.code) == (Kind.FAILED, "SendTimeout")


def test_a_name_that_does_not_resolve_is_surely_not_sent(over_http: Callable[[str], Transport]) -> None:
    assert deliver(a_message(), over_http("http://nowhere.invalid:9")).kind is Kind.UNREACHABLE


class Proxy:
    """Understands CONNECT, and forwards plain HTTP to ``target``; notes the request lines."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self.asked: list[str] = []
        self.heads: list[bytes] = []

    def __call__(self, client: socket.socket) -> None:
        request = read_request(client)
        assert request is not None
        head, body = request
        self.heads.append(head)
        self.asked.append(head.partition(b"\r\n")[0].decode())
        with socket.create_connection(self._target) as server:
            if head.startswith(b"CONNECT "):
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                server.sendall(head + b"\r\n\r\n" + body)
            threading.Thread(target=_copy, args=(server, client), daemon=True).start()
            _copy(client, server)


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    target.close()


over_a_proxy = pytest.mark.parametrize("kind", ["ses", "boto3"])


@over_a_proxy
def test_the_proxy_of_https_proxy_is_asked_for_a_tunnel_and_sees_no_credentials(
    opener: Opener, ses: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, port = ses.url.removeprefix("https://").split(":")
    proxy = Proxy((host, int(port)))
    with RawServer(proxy) as server:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@127.0.0.1:{server.port}")
        transport = opener()

        assert [deliver(a_message(), transport).kind for _ in range(2)] == [Kind.SENT, Kind.SENT]

    assert proxy.asked == [f"CONNECT {host}:{port} HTTP/1.1"] or proxy.asked == [f"CONNECT {host}:{port} HTTP/1.0"]
    assert b"proxy-authorization: basic dxnlcjpzzwnyzxq=" in proxy.heads[0].lower()
    assert b"aws4" not in proxy.heads[0].lower()


@over_a_proxy
def test_no_proxy_is_honoured(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_port()}")
    assert deliver(a_message(), opener()).kind is Kind.UNREACHABLE

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert deliver(a_message(), opener()).kind is Kind.SENT


@over_a_proxy
def test_a_proxy_that_refuses_the_tunnel_is_surely_not_sent(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        connection.close()

    with RawServer(refuse) as server:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.port}")

        assert deliver(a_message(), opener()).kind is Kind.UNREACHABLE


def test_endpoint_region_and_token_come_from_the_aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        while (request := read_request(connection)) is not None:
            heads.append(request[0])
            connection.sendall(ACCEPTED)

    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "the-token")
    with RawServer(serve) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", server.url)
        for kind in ("ses", "boto3"):
            with open_transport(kind) as transport:
                transport.send(a_message())

    for head in heads:
        assert head.startswith(b"POST /v2/email/outbound-emails HTTP/1.1\r\n")
        assert b"/eu-central-1/ses/aws4_request" in head
        assert b"x-amz-security-token: the-token" in head.lower()
    assert len(heads) == 2
