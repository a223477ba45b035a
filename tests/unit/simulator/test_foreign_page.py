"""Somebody else's web page in a real browser, and the same under a rebound name: they read and change nothing."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from mailer.simulator.client import Simulator
from mailer.testbed.waiting import free_port
from tests.support.browser import CHROMIUM, Page
from tests.unit.simulator.conftest import mail, open_ses
from tests.unit.simulator.foreign import FLAG, Foreign, asked, submitted

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")

SEND = json.dumps(mail("stolen@example.com"))
REQUESTS = [
    ("POST", "/v2/email/outbound-emails", SEND),
    ("POST", "/", "Action=UpdateAccountSendingEnabled&Enabled=false"),
    ("PUT", "/v2/email/account/sending", '{"SendingEnabled": false}'),
    ("GET", "/v2/email/account", ""),
    ("GET", "/_sim/messages", ""),
    ("GET", "/_sim/inbox", ""),
    ("POST", "/_sim/reset", ""),
    ("POST", "/_sim/faults", '{"kind": "reset"}'),
    ("PUT", "/_sim/faults", '{"kind": "reset"}'),
    ("POST", "/_sim/destinations", '{"kind": "queue", "target": "stolen"}'),
    ("DELETE", "/_sim/messages", ""),
    ("GET", "/_sim/ui", ""),
]
# A form of plain text writes name=value: JSON with the equals sign in a name that nobody asks for.
FORMS = [
    ("/v2/email/outbound-emails", {SEND[:-1] + ', "x": "': '"}'}),
    ("/_sim/faults", {'{"kind": "reset", "text": "': '"}'}),
    ("/_sim/reset", {"x": "y"}),
    ("/?Action=UpdateAccountSendingEnabled", {"Action": "UpdateAccountSendingEnabled&Enabled=false"}),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with Page(tmp_path_factory.mktemp("chromium"), FLAG) as page:
        yield page


@pytest.fixture
def simulator(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    with Simulator(smtp=False, rate=1000, control_rate=0, **getattr(request, "param", {})) as simulator:
        open_ses(simulator.url).send_email(**mail("mine@example.com"))
        yield simulator


def untouched(simulator: Simulator) -> bool:
    return (
        [message["to"] for message in simulator.messages()] == [["mine@example.com"]]
        and simulator.faults() == []
        and simulator.destinations() == []
        and simulator.account()["sending_enabled"] is True
    )


# On loopback all the same: the foreign page needs the port at another of its addresses.
REMOTE = {"allow_remote": True, "allow_host": "simulator"}


@pytest.mark.parametrize("simulator", [{}, REMOTE], indirect=True, ids=["loopback", "remote"])
def test_a_rebound_name_reads_and_changes_nothing(page: Page, simulator: Simulator) -> None:
    port = urlsplit(simulator.url).port or 0
    with Foreign(port) as foreign:
        page.go(foreign.url)
        page.wait("document.title === 'evil'")
        read = asked(page, "", REQUESTS)
        submitted(page, "", FORMS)
        page.go("about:blank")
    assert len(read) >= 20
    assert all(" 403 " in each for each in read), "it is one origin to the browser, which hands on every answer"
    assert "mine@example.com" not in "".join(read)
    assert untouched(simulator)


@pytest.mark.parametrize("simulator", [{}, REMOTE], indirect=True, ids=["loopback", "remote"])
def test_another_page_reads_and_changes_nothing(page: Page, simulator: Simulator) -> None:
    port = urlsplit(simulator.url).port or 0
    for base in (f"http://localhost:{port}", f"http://127.0.0.1:{port}", f"http://simulator:{port}"):
        with Foreign(free_port()) as foreign:
            page.go(foreign.url)
            page.wait("document.title === 'evil'")
            read = asked(page, base, REQUESTS)
            submitted(page, base, FORMS)
            page.go("about:blank")
        assert len(read) >= 20
        assert all(each.endswith(("kept from it", " 0 ")) for each in read)
        assert untouched(simulator)


def test_another_page_uses_up_no_fault(page: Page, simulator: Simulator) -> None:
    simulator.add_fault("slow-read", bytes_per_second=1000, count=1)
    before = simulator.faults()
    with Foreign(free_port()) as foreign:
        page.go(foreign.url)
        page.wait("document.title === 'evil'")
        asked(page, simulator.url, REQUESTS)
        page.go("about:blank")
    assert simulator.faults() == before


def test_another_page_says_nothing_over_smtp(page: Page) -> None:
    """A form of plain text is a whole session to whoever overhears its heads."""
    session = (
        "EHLO x\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"
        "From: a@example.com\r\n\r\nHi.\r\n.\r\nQUIT\r\n"
    )
    with Simulator(smtp_insecure=True) as simulator, Foreign(free_port()) as foreign:
        host, port = simulator.smtp
        with socket.create_connection((host, port)) as ours:
            ours.sendall(session.encode())
            assert b"250 Ok " in b"".join(iter(lambda: ours.recv(1 << 16), b""))
        page.go(foreign.url)
        page.wait("document.title === 'evil'")
        asked(page, f"http://{host}:{port}", [("POST", "/", session)])
        submitted(page, f"http://{host}:{port}", [("/", {f"\r\n{session}": ""})])
        page.go("about:blank")
        assert len(simulator.messages()) == 1
        assert simulator.stats()["connections"]["smtp"]["opened"] > 1, "it did try"


def test_our_own_page_goes_on_working(page: Page, simulator: Simulator) -> None:
    page.go(f"{simulator.url}/")
    page.wait("document.querySelector('#accepted').textContent === '1'")
    page.run("document.querySelector('[data-tab=controls]').click()")
    page.run("document.querySelector('#reset').click()")
    page.wait("document.querySelector('#accepted').textContent === '0'")


@pytest.mark.parametrize("simulator", [{"keep": 3}], indirect=True)
def test_the_page_says_what_made_room(page: Page, simulator: Simulator) -> None:
    ses = open_ses(simulator.url)
    for _ in range(6):
        ses.send_email(**mail())
    page.go(f"{simulator.url}/")
    page.wait("document.querySelector('#page').textContent === 'page 1 · 3 kept, 4 older dropped'")
    assert simulator.stats()["dropped"] == 4
