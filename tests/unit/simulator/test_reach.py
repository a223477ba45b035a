"""Where webhooks lead: nobody who speaks to the control API has the simulator ask other hosts for them."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from mailer.simulator.client import Simulator, SimulatorError
from mailer.simulator.events.reach import Reach
from tests.unit.simulator.conftest import Ses, mail, open_ses
from tests.unit.simulator.webhook import Endpoint, until

ELSEWHERE = """
    http://169.254.169.254/latest/meta-data/ http://192.0.2.1/ http://evil.example/ http://[fd00::1]/ http://0.0.0.0/
    http://127.0.0.1.evil.example/ http://localhost.evil.example/ http://2130706433/ http://127.1/ http://0x7f.1/
    http://[::ffff:169.254.169.254]/ https://evil.example:8443/x http://[::]/
"""


@pytest.mark.parametrize("url", ELSEWHERE.split())
def test_a_webhook_to_another_host_is_refused(simulator: Simulator, url: str) -> None:
    with pytest.raises(SimulatorError, match="--allow-webhook"):
        simulator.add_webhook(url, confirm=False)
    assert simulator.destinations() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"target": "http://evil.example@127.0.0.1/"},
        {"target": "http://127.0.0.1/a b"},
        {"target": "http://127.0.0.1/\r\nX-Evil:1"},
        {"topic": "x\r\nX-Evil: 1"},
        {"topic": ""},
        {"retry_seconds": 1e9},
        {"retries": 101},
        {"timeout_seconds": 1e9},
    ],
    ids=str,
)
def test_what_could_write_headers_or_wait_for_ever_is_refused(simulator: Simulator, wrong: dict[str, Any]) -> None:
    body = {"kind": "webhook", "target": "http://127.0.0.1/", **wrong}
    with pytest.raises(SimulatorError, match="400"):
        simulator.request("POST", "/_sim/destinations", body=body)


def test_there_is_an_end_of_destinations(simulator: Simulator) -> None:
    for number in range(100):
        simulator.add_queue(f"q{number}")
    with pytest.raises(SimulatorError, match="100 destinations"):
        simulator.add_queue("one-more")


def test_a_host_that_was_named_at_the_start_may_be_led_to() -> None:
    given = "http://app.invalid:8000/ses,confirm=false,retries=0"
    with Simulator(smtp=False, allow_webhook="other.invalid", webhook=given) as simulator:
        simulator.add_webhook("http://other.invalid/", confirm=False, retries=0)
        simulator.add_webhook("http://app.invalid:8000/again", confirm=False, retries=0)
        with pytest.raises(SimulatorError, match="--allow-webhook third"):
            simulator.add_webhook("http://third.invalid/")
        simulator.reset()
        assert [each["target"] for each in simulator.destinations()] == ["http://app.invalid:8000/ses"]


def test_a_name_that_is_led_elsewhere_is_not_connected_to() -> None:
    """Asked once, and the answer is what is connected to: a name that is asked for twice may be another host's."""
    reach = Reach(["127.0.0.1"])
    assert asyncio.run(reach.addresses("localhost", 80)) in (["127.0.0.1"], ["::1", "127.0.0.1"], ["127.0.0.1", "::1"])
    assert asyncio.run(reach.addresses("127.0.0.1", 80)) == ["127.0.0.1"]
    with pytest.raises(OSError, match="not at an address of loopback"):
        asyncio.run(reach.addresses("192.0.2.1", 80))


class Redirecting(HTTPServer):
    """Sends whoever comes on to ``url``."""

    def __init__(self, url: str) -> None:
        server = self
        self.came = 0

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server.came += 1
                self.send_response(307)
                self.send_header("Location", url)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def redirecting() -> Iterator[tuple[Redirecting, Endpoint]]:
    with Endpoint() as endpoint:
        server = Redirecting(endpoint.url)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server, endpoint
        server.shutdown()
        server.server_close()
        thread.join()


def test_nobody_follows_where_an_answer_leads_on(
    ses: Ses, simulator: Simulator, redirecting: tuple[Redirecting, Endpoint]
) -> None:
    server, endpoint = redirecting
    simulator.add_webhook(f"http://127.0.0.1:{server.server_port}/", confirm=False, retries=0)
    ses.send_email(**mail())
    until(lambda: simulator.destinations()[0]["failed"] == 2)
    assert server.came == 2
    assert endpoint.posts == []


def test_what_waits_for_a_webhook_that_does_not_answer_is_bounded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf, Simulator(smtp=False, keep=5, rate=1000) as simulator:
        port = deaf.getsockname()[1]
        simulator.add_webhook(f"http://127.0.0.1:{port}/", confirm=False, retries=100, retry_seconds=86_400)
        simulator.add_webhook("http://127.0.0.1:9/", confirm=False, retries=100, retry_seconds=86_400)
        ses = open_ses(simulator.url)
        for _ in range(40):
            ses.send_email(**mail())
        until(lambda: simulator.destinations()[1]["failed"] > 0)
        assert [each["waiting"] <= 40 for each in simulator.destinations()] == [True, True]
        assert simulator.destinations()[0]["dropped"] > 0
