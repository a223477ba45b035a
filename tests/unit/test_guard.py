"""Which requests the guard lets in: by the name they were addressed to, and by what a browser says of them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mailer.guard import Guard, checked_name


def refusal(guard: Guard | None = None, *, address: str = "", opens: bool = False, **headers: str) -> str | None:
    given = {"host": "localhost:9025"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return (guard or Guard()).refusal(lambda name: given.get(name, ""), address=address, opens=opens)


OURS = "localhost localhost:1 LOCALHOST:9025 localhost.:9025 app.localhost 127.0.0.1:9025 127.9.9.9 [::1]:9025 [::1]"
OTHERS = """
    evil.example 127.0.0.1.evil.example localhost.evil.example notlocalhost evil.example:9025 0.0.0.0 [::] 192.0.2.1
    10.0.0.7:9025 [ localhost@evil.example evil.example#localhost x/localhost 127.0.0.1:9025:1 localhost: évil
    [::ffff:10.0.0.7] 127.1 2130706433
"""


@pytest.mark.parametrize("host", [*OURS.split(), ""])
def test_loopback_is_ours_by_all_its_names(host: str) -> None:
    assert refusal(host=host) is None


@pytest.mark.parametrize("host", [*OTHERS.split(), "a b", "." * 300])
def test_no_other_name_is(host: str) -> None:
    assert "--allow-host" in str(refusal(host=host))


def test_the_address_that_a_request_came_to_is_ours_and_no_other() -> None:
    assert refusal(host="10.0.0.7:9025", address="10.0.0.7") is None
    assert refusal(host="[fd00::7]:9025", address="fd00:0::7") is None
    assert refusal(host="10.0.0.8:9025", address="10.0.0.7") is not None
    assert refusal(host="0.0.0.0:9025", address="10.0.0.7") is not None, "browsers connect to loopback by it"


def test_names_that_were_given_are_ours() -> None:
    guard = Guard(["Simulator", "mail.example.com.", "192.0.2.1"])
    assert refusal(guard, host="simulator:9025") is None
    assert refusal(guard, host="MAIL.example.com") is None
    assert refusal(guard, host="192.0.2.1:9025") is None
    assert refusal(guard, host="192.0.2.2:9025") is not None
    assert refusal(guard, host="other:9025") is not None
    assert refusal(Guard([], re.compile("email.*")), host="email.us-east-1.amazonaws.com") is None


@pytest.mark.parametrize(
    "name", ["", "*", "http://simulator", "simulator:9025", "a/b", "a b", "a\nb", "x" * 64, "*.example.com"]
)
def test_what_is_no_name_is_not_taken_for_one(name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a host"):
        checked_name(name)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything", "SAME-ORIGIN"])
def test_what_a_browser_says_another_page_asked_for_is_refused(site: str) -> None:
    assert refusal(sec_fetch_site=site) is not None
    assert refusal(sec_fetch_site=site, origin="http://localhost:9025") is not None


@pytest.mark.parametrize("origin", ["null", "https://evil.example", "http://localhost:3000", "http://localhost", "x"])
def test_another_origin_is_refused_where_a_browser_says_no_more(origin: str) -> None:
    assert refusal(origin=origin) is not None


def test_our_own_page_and_what_is_no_browser_pass() -> None:
    assert refusal(origin="http://localhost:9025", sec_fetch_site="same-origin") is None
    assert refusal(origin="http://LOCALHOST:9025") is None
    assert refusal(sec_fetch_site="none") is None
    assert refusal(sec_fetch_mode="cors") is None, "Node's own fetch says that"


def test_a_link_may_open_a_page_and_nothing_else() -> None:
    link: dict[str, Any] = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert refusal(opens=True, **link) is None
    assert refusal(opens=False, **link) is not None
    assert refusal(opens=True, **link | {"sec_fetch_dest": "iframe"}) is not None
    assert refusal(opens=True, **link | {"sec_fetch_mode": "no-cors"}) is not None
    assert refusal(opens=True, origin="https://evil.example", **link) is not None
    assert refusal(opens=True, host="evil.example", **link) is not None


def test_what_is_said_of_a_refusal_is_safe_in_a_terminal() -> None:
    assert str(refusal(host="\x1b[2Jevil")).isprintable()
    assert len(str(refusal(origin="http://" + "x" * 10_000))) < 300
