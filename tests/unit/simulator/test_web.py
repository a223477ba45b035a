"""The page, in a real browser: what it shows, and that no mail can act in it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from mailer.simulator.client import Simulator
from mailer.simulator.errors import BY_NAME
from mailer.simulator.fault import KINDS
from tests.support.browser import CHROMIUM, Page
from tests.unit.simulator.conftest import Ses, mail
from tests.unit.simulator.webhook import until

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")


@pytest.fixture(scope="module")
def _page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with Page(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture
def page(_page: Page, simulator: Simulator) -> Page:
    _page.call("Page.stopLoading")
    _page.go(f"{simulator.url}/")
    _page.events.clear()
    _page.wait("document.querySelector('#state').textContent !== 'connecting'")
    return _page


def with_html(html: str, **changes: Any) -> dict[str, Any]:
    call = mail(**changes)
    call["Content"]["Simple"]["Body"]["Html"] = {"Data": html}
    return call


def opened(page: Page) -> None:
    """Open the newest message, and wait until its frame has loaded."""
    page.wait("document.querySelector('#messages button')")
    page.run("document.querySelector('#messages button').click()")
    page.wait("document.querySelector('iframe.view')")
    until(page.frames)


def complaints(page: Page) -> list[str]:
    """What the page itself did wrong: exceptions, and errors that are not a frame's being kept in."""
    page.run("1")
    return [
        str(event["params"])
        for event in page.events
        if event.get("method") == "Runtime.exceptionThrown"
        or (event.get("method") == "Log.entryAdded" and event["params"]["entry"]["level"] == "error")
    ]


def test_mail_appears_by_itself_and_opens_in_every_form(
    page: Page, ses: Ses, simulator: Simulator, tmp_path: Path
) -> None:
    call = with_html("<h1>Spring</h1>")
    call["Content"]["Simple"]["Attachments"] = [{"FileName": "invoice.pdf", "RawContent": b"1234"}]
    call["Content"]["Simple"]["Headers"] = [{"Name": "X-Campaign", "Value": "spring"}]
    ses.send_email(**call)
    opened(page)

    assert page.run("document.querySelector('#reader h2').textContent") == "Hello"
    expected = {
        "Text": "Hello.",
        "Headers": "X-Campaign: spring",
        "Raw": '"FromEmailAddress": "news@example.com"',
        "Attachments": "invoice.pdf",
    }
    for view, text in expected.items():
        page.run(f"document.querySelector('[data-view={view}]').click()")
        assert text in page.run("document.querySelector('#reader .view').textContent")
    assert "Send, Delivery" in page.run("document.querySelector('#reader .facts').textContent")
    assert page.run("document.querySelector('#accepted').textContent") == "1"
    assert page.run("document.querySelector('#quota-text').textContent") == "1 of 50,000"
    page.picture(Path(os.environ.get("SCREENSHOTS", tmp_path)) / "reader.png")
    assert complaints(page) == []


ATTACKS = """
<script>top.postMessage('script', '*'); fetch('{out}/script'); parent.document.title = 'owned'</script>
<img src="x" onerror="fetch('{out}/onerror'); parent.document.title = 'owned'">
<svg onload="fetch('{out}/svg')"></svg>
<meta http-equiv="refresh" content="0; url={out}/refresh">
<base href="{out}/">
<link rel="stylesheet" href="{out}/style.css">
<link rel="prefetch" href="{out}/prefetch"><link rel="preconnect" href="{out}/">
<style>@import url({out}/import.css); body {{ background: url({out}/background.png) }}</style>
<img src="{out}/pixel.png"><video src="{out}/video" autoplay></video>
<iframe src="{out}/frame"></iframe><iframe srcdoc="<script>fetch('{out}/srcdoc')</script>"></iframe>
<object data="{out}/object"></object><embed src="{out}/embed">
<form id="f" action="{out}/form" method="post"><button autofocus onfocus="f.submit()">x</button></form>
<a id="link" href="{out}/link" target="_top">click</a><a href="javascript:fetch('{out}/javascript')">click</a>
<p id="shown">The text shows.</p>
"""


OTHERWISE = """
<svg><style><p><link rel="preconnect" href="{out}/"><link rel="prefetch" href="{out}/a"></style></svg>
<math><style><p><link rel="stylesheet" href="{out}/b"><img src="{out}/c"></style></math>
<noscript><p title="</noscript><link rel=preconnect href={out}/>"></noscript>
<!--><link rel="preconnect" href="{out}/"><meta http-equiv="refresh" content="0;url={out}/d">-->
<!--a--!><link rel="dns-prefetch" href="{out}/"><link rel="preload" as="image" href="{out}/e">-->
<![CDATA[ ><iframe src="{out}/f"></iframe><link rel="preconnect" href="{out}/">]]>
<template shadowrootmode="open"><link rel="preconnect" href="{out}/"><img src="{out}/g"></template>
<style>@import "{out}/h"; @font-face {{ font-family: x; src: url({out}/i) }}
p {{ font-family: x; cursor: url({out}/j), auto }}</style>
<img srcset="{out}/k 1x"><video poster="{out}/l"></video>
<input type="image" src="{out}/m"><table background="{out}/n"></table>
<details open ontoggle="fetch('{out}/o')"></details><form action="{out}/p"><input name="x" autofocus></form>
<p id="shown">The text shows.</p>
"""
"""What a filter that passes on what it takes for text, for a comment or for a style sheet lets through."""


class Outside:
    """A host that no page should ever talk to: it only notices that somebody came."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=100)
        self._socket.setblocking(False)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def visited(self) -> bool:
        try:
            self._socket.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def outside() -> Iterator[Outside]:
    outside = Outside()
    yield outside
    outside.close()


def test_no_mail_can_script_the_page_or_reach_outside(
    page: Page, ses: Ses, simulator: Simulator, outside: Outside
) -> None:
    evil = with_html(ATTACKS.format(out=outside.url))
    evil["Content"]["Simple"]["Subject"]["Data"] = "<img src=x onerror=\"document.title='owned'\">"
    evil["Content"]["Simple"]["Body"]["Text"]["Data"] = "<script>document.title='owned'</script>"
    page.run("window.messages = []; addEventListener('message', (event) => messages.push(event.data))")
    ses.send_email(**evil)
    opened(page)
    time.sleep(1)

    (frame,) = page.frames()
    assert frame.startswith(f"{simulator.url}/_sim/messages/"), "the frame went elsewhere"
    # Even a click, which a script could not make, leads nowhere.
    x, y = page.run("(({x, y}) => [x, y])(document.querySelector('iframe').getBoundingClientRect())")
    for down in range(20, 300, 12):
        for kind in ("mousePressed", "mouseReleased"):
            page.call("Input.dispatchMouseEvent", type=kind, x=x + 20, y=y + down, button="left", clickCount=1)
    page.run("document.querySelector('[data-view=Text]').click()")
    time.sleep(0.5)

    assert page.run("document.title") == "SES simulator"
    assert page.run("location.href") == f"{simulator.url}/"
    assert page.run("messages") == []
    assert page.run("document.querySelectorAll('#reader img, #reader script, #messages img').length") == 0
    assert not outside.visited()


def test_what_browsers_read_otherwise_than_a_filter_reaches_nobody_either(
    page: Page, ses: Ses, simulator: Simulator, outside: Outside
) -> None:
    sent = ses.send_email(**with_html(OTHERWISE.format(out=outside.url)))
    opened(page)
    time.sleep(1)
    assert not outside.visited()
    # Alone in a window it is kept in as well, and its origin is not the inbox's.
    page.go(f"{simulator.url}/_sim/messages/{sent['MessageId']}/html")
    page.wait("document.querySelector('#shown')")
    time.sleep(1)
    assert page.run("self.origin") == "null"
    assert not outside.visited()


@pytest.mark.parametrize("unkept", ["ATTACKS", "OTHERWISE"])
def test_an_attachment_is_no_page_of_ours(page: Page, ses: Ses, simulator: Simulator, unkept: str) -> None:
    call = mail()
    content = f"<title>owned</title><script>document.title = 'owned'</script>{globals()[unkept]}".encode()
    call["Content"]["Simple"]["Attachments"] = [
        {"FileName": "page.html", "RawContent": content, "ContentType": "text/html"}
    ]
    ses_id = ses.send_email(**call)["MessageId"]
    for path in (f"/_sim/messages/{ses_id}/attachments/0", f"/_sim/messages/{ses_id}/raw", f"/_sim/messages/{ses_id}"):
        page.call("Page.navigate", url=f"{simulator.url}{path}")
        time.sleep(0.3)
        assert page.run("document.title") != "owned"


def test_the_page_needs_nobody_but_the_simulator(page: Page, simulator: Simulator) -> None:
    page.go("about:blank")
    page.events.clear()
    page.go(f"{simulator.url}/_sim/ui")
    page.wait("document.querySelector('#clock-text')?.textContent")

    assert {url for url in page.requested() if not url.startswith(simulator.url)} <= {"about:blank"}
    assert complaints(page) == []


def test_search_and_pages_narrow_the_inbox(page: Page, ses: Ses) -> None:
    for number in range(55):
        ses.send_email(**mail(f"r{number}@example.com"))
    page.wait("document.querySelectorAll('#messages li').length === 50")
    page.wait("!document.querySelector('#older').disabled")
    page.run("document.querySelector('#older').click()")
    page.wait("document.querySelectorAll('#messages li').length === 5")
    page.run(
        "(() => { const form = document.querySelector('#search'); form.search.value = 'r3@';"
        " form.dispatchEvent(new Event('input')) })()"
    )
    page.wait("document.querySelectorAll('#messages li').length === 1")
    assert "r3@example.com" in page.run("document.querySelector('#messages').textContent")


def test_buttons_make_faults_and_move_the_clock(page: Page, ses: Ses, simulator: Simulator) -> None:
    page.run("document.querySelector('[data-tab=controls]').click()")
    page.run("document.querySelector('#presets button').click()")
    until(lambda: [fault["error"] for fault in simulator.faults()] == ["throttle"])
    page.wait("document.querySelector('#faults').textContent.includes('throttle')")
    page.run("document.querySelector('#clear-faults').click()")
    until(lambda: simulator.faults() == [])

    page.run("document.querySelector('[data-freeze]').click()")
    until(lambda: simulator.request("GET", "/_sim/clock")["frozen"])
    before = simulator.request("GET", "/_sim/clock")["now"]
    page.run("document.querySelector('[data-advance=\"3600\"]').click()")
    until(lambda: simulator.request("GET", "/_sim/clock")["now"] == before + 3600)

    page.run("(() => { const form = document.querySelector('#account'); form.rate.value = 7; form.requestSubmit() })()")
    until(lambda: simulator.account()["rate"] == 7)
    assert simulator.account()["quota"] == 50_000


def test_a_form_sends_only_what_somebody_changed(page: Page, ses: Ses, simulator: Simulator) -> None:
    simulator.set_account(rate=14, bucket=None, verified=[])
    page.wait("document.querySelector('#account').rate.value === '14'")
    page.run("(() => { const form = document.querySelector('#account'); form.quota.value = 9; form.rate.focus() })()")
    simulator.set_account(control_rate=5)
    page.wait("document.querySelector('#account').control_rate.value === '5'")
    assert page.run("document.querySelector('#account').quota.value") == "9", "what is typed stays"

    page.run(
        "(() => { const form = document.querySelector('#account'); form.rate.value = 99; form.requestSubmit() })()"
    )
    until(lambda: simulator.account()["rate"] == 99)
    account = simulator.account()
    assert (account["quota"], account["bucket"], account["capacity"]) == (9, None, 99), "the burst follows the rate"
    assert account["verified"] == []
    page.run(
        "(() => { const form = document.querySelector('#outcomes'); form.bounce.value = 1; form.requestSubmit() })()"
    )
    until(lambda: simulator.request("GET", "/_sim/outcomes")["bounce"] == 1)


def test_what_went_wrong_is_listed(page: Page, ses: Ses, simulator: Simulator, tmp_path: Path) -> None:
    for _ in range(2):
        ses.send_email(**mail("bounce@simulator.amazonses.com"))
    page.wait("document.querySelector('#count-duplicates').textContent === '1'")
    for tab, text in (("events", "Permanent, General"), ("duplicates", "recipient and content")):
        page.run(f"document.querySelector('[data-tab={tab}]').click()")
        page.wait(f"document.querySelector('#{tab} tbody').textContent.includes('{text}')")
    page.picture(Path(os.environ.get("SCREENSHOTS", tmp_path)) / "duplicates.png")
    page.run("document.querySelector('#duplicates .link').click()")
    page.wait("document.querySelector('#reader h2')")
    assert complaints(page) == []


def test_the_first_page_says_how_to_send_and_goes_when_mail_comes(page: Page, ses: Ses, simulator: Simulator) -> None:
    page.wait("document.querySelector('#page').textContent === 'no mail yet'")
    assert simulator.url in page.run("document.querySelector('#reader').innerText")
    ses.send_email(**mail())
    page.wait("document.querySelector('#reader').innerText === 'Choose a message.'")
    page.run("document.querySelector('[data-tab=controls]').click()")
    page.run("document.querySelector('#clear-messages').click()")
    page.wait("!document.querySelector('#count-inbox').textContent")
    page.run("document.querySelector('[data-tab=inbox]').click()")
    page.wait("!document.querySelector('#messages').firstChild")


def test_it_begins_with_the_simulators_own_region(page: Page) -> None:
    with Simulator(region="eu-central-1", smtp=False) as elsewhere:
        page.go(elsewhere.url)
        page.wait("document.querySelector('#limit').textContent === '14/s'")
        assert page.run("document.querySelector('#region').value") == "eu-central-1"
        assert list(elsewhere.stats()["regions"]) == ["eu-central-1"]


def test_every_kind_and_error_can_be_chosen_with_the_fields_that_it_has(page: Page, simulator: Simulator) -> None:
    for name, known in (("kind", KINDS), ("error", BY_NAME)):
        options = f"[...document.querySelector('#fault').{name}.options].map((each) => each.value)"
        assert sorted(page.run(options)) == sorted(known)
    page.run("document.querySelector('[data-tab=controls]').click()")
    page.run(
        "(() => { const form = document.querySelector('#fault'); form.latency.value = '1s';"
        " form.kind.value = 'slow-read'; form.kind.dispatchEvent(new Event('input'));"
        " form.bytes_per_second.value = 50; form.operation.value = 'any'; form.requestSubmit() })()"
    )
    page.wait("document.querySelector('#faults').textContent === 'slow-read, bytes_per_second=50, operation=any'")
    shown = page.run(
        "[...document.querySelectorAll('#fault label')].filter((each) => !each.hidden).map((each) => each.control.name)"
    )
    assert {"bytes_per_second", "operation"} <= set(shown)
    assert not {"error", "latency", "recipient", "when"} & set(shown)
    (fault,) = simulator.faults()
    assert "operation" not in fault


def test_the_keyboard_reaches_all_and_keeps_its_place_when_mail_comes(page: Page, ses: Ses) -> None:
    def press(key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            page.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    ses.send_email(**mail("first@example.com"))
    ses.send_email(**mail("second@example.com"))
    page.wait("document.querySelectorAll('#messages li').length === 2")
    page.run("document.querySelector('#messages button').focus()")
    press("ArrowDown")
    ses.send_email(**mail("third@example.com"))
    page.wait("document.querySelectorAll('#messages li').length === 3")
    assert "first@example.com" in page.run("document.activeElement.textContent")

    page.run("document.querySelector('#tab-inbox').focus()")
    for key, shown in (("ArrowRight", "events"), ("ArrowLeft", "inbox"), ("ArrowLeft", "controls"), ("Home", "inbox")):
        press(key)
        assert page.run("document.activeElement.dataset.tab") == shown
        assert not page.run(f"document.querySelector('#{shown}').hidden")


def test_it_fits_a_telephone(page: Page, ses: Ses) -> None:
    ses.send_email(**mail(f"{'long' * 15}@{'mail.' * 10}example.com"))
    page.call("Emulation.setDeviceMetricsOverride", width=360, height=700, deviceScaleFactor=1, mobile=True)
    try:
        for tab in ("events", "duplicates", "resends", "controls", "inbox"):
            page.run(f"document.querySelector('[data-tab={tab}]').click()")
            assert page.run("document.documentElement.scrollWidth") == 360, tab
        page.wait("document.querySelector('#messages button')?.clientHeight > 30")
    finally:
        page.call("Emulation.clearDeviceMetricsOverride")


@pytest.mark.parametrize("attacks", [ATTACKS, OTHERWISE], ids=["plainly", "otherwise"])
def test_the_same_html_does_act_where_nothing_keeps_it_in(page: Page, outside: Outside, attacks: str) -> None:
    """Or the tests above would prove nothing."""
    page.go(f"data:text/html,{quote(attacks.format(out=outside.url))}")
    until(outside.visited)
    page.call("Page.stopLoading")
