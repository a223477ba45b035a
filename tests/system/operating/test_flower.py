"""Flower under ``mailer up``: it shows what it should, and no other web page reads it or stops a worker."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from mailer.testbed.waiting import free_port, until
from mailer.user import name_of
from tests.support.another_user import NOBODY, THIRD, as_another, common_folder, needs_two_users
from tests.support.browser import CHROMIUM, Page
from tests.support.command import command, completed, environment
from tests.support.running import Running, running
from tests.unit.simulator.foreign import FLAG, Foreign, asked, submitted

HOSTILE = "<img src=x onerror=alert(1)>"
EVERYTHING = [
    ("GET", "/"),
    ("GET", "/tasks"),
    ("GET", "/metrics"),
    ("GET", "/healthcheck"),
    ("GET", "/static/js/flower.js"),
    ("GET", "/api/workers"),
    ("POST", "/tasks/datatable"),
    ("POST", "/api/worker/shutdown/x"),
    ("OPTIONS", "/api/worker/shutdown/x"),
    ("GET", "/none"),
]
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


class Up:
    """All on one host, with Flower's API open to whoever can reach it."""

    def __init__(self, process: Running, folder: Path, env: dict[str, str]) -> None:
        self.process = process
        self.simulator = process.wait_for(r"  SES +simulator at (\S+),")[1]
        self.flower = process.wait_for(r"  Flower +(\S+)")[1].rstrip("/")
        process.wait_for("Stop: +Ctrl-C")
        self._folder, self._env = folder, env

    def mailer(self, *arguments: str) -> str:
        done = completed(*arguments, env=self._env, cwd=self._folder)
        done.check_returncode()
        return done.stdout

    def ask(self, method: str, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
        address = urlsplit(self.flower)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()
        connection.close()
        return found

    @property
    def worker(self) -> str:
        return str(next(iter(json.loads(self.ask("GET", "/api/workers?refresh=1")[2]))))


def status_of(url: str) -> int:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
    connection.request("GET", address.path)
    found = connection.getresponse().status
    connection.close()
    return found


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("up")
    env = environment(FLOWER_UNAUTHENTICATED_API="true", FLOWER_ALLOW_HOST="flower,mail.example.com")
    allowed = ("--allow-user", str(THIRD))
    arguments = ("--processes", "1", "--threads", "4", "--flower-port", str(free_port()), *allowed)
    with running(command("up", *arguments), env, folder) as process:
        yield Up(process, folder, env)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with Page(tmp_path_factory.mktemp("chromium"), FLAG) as page:
        yield page


@pytest.mark.parametrize(
    "foreign",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:5555"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"},
    ],
    ids=str,
)
def test_flower_answers_nobody_else(up: Up, foreign: dict[str, str]) -> None:
    for method, path in EVERYTHING:
        status, headers, text = up.ask(method, path, **foreign)
        assert status == 403, path
        assert "our own page" in text.lower() or "--allow-host" in text
        assert not [name for name in headers if name.startswith("access-control-")]


@needs_two_users
def test_another_user_reads_nothing_in_flower_and_stops_no_worker(up: Up) -> None:
    worker = up.worker
    for method, path in (*EVERYTHING, ("POST", f"/api/worker/shutdown/{worker}")):
        said = as_another(partial(up.ask, method, path))
        assert said.startswith("(403, "), path
        assert f"--allow-user={name_of(NOBODY)}" in said
        assert worker not in said
    assert up.worker == worker
    assert not any("shutdown" in line.lower() for line in up.process.lines)


@needs_two_users
def test_a_user_who_is_named_is_let_into_flower_and_the_simulator(up: Up) -> None:
    assert as_another(partial(up.ask, "GET", "/api/workers"), THIRD).startswith("(200, ")
    inbox = f"{up.simulator}/_sim/messages"
    assert as_another(partial(status_of, inbox), THIRD) == "200"
    assert as_another(partial(status_of, inbox)) == "403"


@needs_two_users
def test_no_port_of_everything_together_answers_another_user(up: Up) -> None:
    processes = [psutil.Process(pid) for pid in up.process.children(4)]
    listening = {
        each.laddr
        for process in processes
        for each in process.net_connections("inet")
        if each.status == psutil.CONN_LISTEN
    }

    def talked(address: tuple[str, int], said: bytes) -> str:
        with socket.create_connection(address, timeout=30) as connection:
            connection.sendall(said)
            connection.shutdown(socket.SHUT_WR)
            return connection.recv(1 << 16).decode().partition("\r\n")[0]

    assert {address.ip for address in listening} == {"127.0.0.1"}
    answers = {
        as_another(partial(talked, address, said))[:12]
        for address in listening
        for said in (b"GET /_sim/messages HTTP/1.0\r\n\r\n", b"KEYS *\r\n")
    }
    assert len(listening) == 3
    assert answers <= {"HTTP/1.1 403", "HTTP/1.1 400", "-NOAUTH Auth", ""}


def test_flower_answers_its_own_page_its_names_and_programs(up: Up) -> None:
    for headers in ({}, {"Host": "flower:5555"}, {"Host": "mail.example.com"}, {"Sec_Fetch_Site": "same-origin"}):
        status, given, text = up.ask("GET", "/", **headers)
        assert (status, "Flower" in text) == (200, True)
        assert given["x-frame-options"] == "DENY"
        assert "access-control-allow-origin" not in given
    assert up.ask("GET", "/metrics")[0] == 200
    links = {name.replace("-", "_"): value for name, value in LINK.items()}
    assert up.ask("GET", "/", **links)[0] == 200
    assert up.ask("GET", f"/worker/{up.worker}", **links)[0] == 403


def test_no_other_page_reads_flower_or_stops_a_worker(up: Up, page: Page) -> None:
    up.mailer("send", "--to", "ann@example.com", "--from", "me@example.com", "--subject", "Hi", "--text", "Hi")
    worker = up.worker
    requests = [
        ("POST", f"/api/worker/shutdown/{worker}", ""),
        ("POST", f"/api/worker/queue/cancel-consumer/{worker}?queue=transactional", ""),
        ("GET", "/api/tasks", ""),
        ("GET", "/metrics", ""),
        ("GET", "/", ""),
        ("GET", "/broker", ""),
    ]
    forms = [(path, {"x": "y"}) for method, path, _ in requests if method == "POST"]
    port = urlsplit(up.flower).port or 0
    with Foreign(port) as rebound:
        page.go(rebound.url)
        page.wait("document.title === 'evil'")
        read = asked(page, "", requests)
        submitted(page, "", forms)
        page.go("about:blank")
    assert len(read) == 2 * len(requests)
    assert all(" 403 " in each for each in read)
    assert not [each for each in read if "a***@" in each or worker in each.partition(" 403 ")[2]]
    with Foreign(free_port()) as foreign:
        page.go(foreign.url)
        page.wait("document.title === 'evil'")
        read = asked(page, up.flower, requests)
        submitted(page, up.flower, forms)
        page.go("about:blank")
    assert all(each.endswith(("kept from it", " 0 ")) for each in read)
    assert not any("Got shutdown" in line or "shutdown" in line.lower() for line in up.process.lines)
    state = json.loads(up.mailer("status", "--json"))
    assert state["state"] == "sending"
    assert list(json.loads(up.ask("GET", "/api/workers?refresh=1")[2])) == [worker]


def test_nothing_that_ses_or_a_message_says_is_markup_in_flower(up: Up, page: Page) -> None:
    """In Flower's columns and on a task's own page: the lane and the recipient, and SES's words."""
    fault = {"kind": "error", "error": "rejected", "text": f"\x1b[31m{HOSTILE}", "count": 1}
    address = urlsplit(up.simulator)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    connection.request("POST", "/_sim/faults", json.dumps(fault))
    assert connection.getresponse().status == 200
    connection.close()
    up.mailer("send", "--to", "bob@example.com", "--from", "me@example.com", "--subject", HOSTILE, "--text", HOSTILE)

    def told() -> bool:
        return "onerror" in up.ask("GET", "/api/tasks")[2]

    until(told)
    page.events.clear()
    page.go(f"{up.flower}/tasks")
    page.wait("document.querySelector('#tasks-table')?.textContent.includes('onerror')")
    assert page.run("document.querySelectorAll('#tasks-table img').length") == 0
    page.run("[...document.querySelectorAll('#tasks-table a')].find((each) => each.href.includes('/task/')).click()")
    page.wait("location.pathname.startsWith('/task/')")
    page.wait("document.readyState === 'complete'")
    assert page.run("document.querySelectorAll('td img, td script').length") == 0
    assert "Page.javascriptDialogOpening" not in [event.get("method") for event in page.events]


def test_with_a_password_any_name_and_user_is_answered_and_no_other_page(tmp_path: Path) -> None:
    port = str(free_port())
    env = environment(MAILER_REDIS_URL="redis://127.0.0.1:1/0", FLOWER_BASIC_AUTH="ann:secret", AWS_REGION="us-east-1")
    (tmp_path / "flowerconfig.py").write_text("raise SystemExit('the current folder was run')\n")
    with running(command("flower", f"--port={port}"), env, tmp_path) as flower:
        flower.wait_for("Visit me at")
        addresses = {each.laddr.ip for each in psutil.Process(flower.process.pid).net_connections("inet")}
        assert addresses == {"127.0.0.1"}, "unless another is named"

        def status(**headers: str) -> int:
            connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
            connection.request("GET", "/", headers={name.replace("_", "-"): value for name, value in headers.items()})
            found = connection.getresponse().status
            connection.close()
            return found

        word = {"Authorization": "Basic YW5uOnNlY3JldA=="}
        assert status(Host="flower.example.com", **word) == 200
        assert status(Host="flower.example.com") == 401
        if os.geteuid() == 0:
            assert [as_another(partial(status, **word)), as_another(status)] == ["200", "401"]
        assert status(Host="flower.example.com", Sec_Fetch_Site="cross-site", **word) == 403
        assert status(Host="flower.example.com", Origin="https://evil.example", **word) == 403


@needs_two_users
def test_a_socket_that_everybody_may_open_answers_its_own_user_only() -> None:
    env = environment(MAILER_REDIS_URL="redis://127.0.0.1:1/0", AWS_REGION="us-east-1")
    with common_folder(0o755) as folder:
        place = str(folder / "flower.socket")
        with running(command("flower", f"--unix_socket={place}"), env, folder) as flower:
            flower.wait_for("Visit me via")

            def first_line() -> str:
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.connect(place)
                    connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                    return connection.recv(1 << 16).decode().partition("\r\n")[0]

            assert first_line() == "HTTP/1.1 200 OK"
            assert as_another(first_line) == "HTTP/1.1 403 Forbidden"


@pytest.mark.parametrize(
    "option", ["--allow_host=*", "--allow_host=http://x", "--allow_host=a,*", "--allow_user=no-such-user"]
)
def test_a_name_that_is_none_is_refused_at_the_start(tmp_path: Path, option: str) -> None:
    env = environment(MAILER_REDIS_URL="redis://127.0.0.1:1/0", AWS_REGION="us-east-1")
    done = completed("flower", option, env=env, cwd=tmp_path)
    assert done.returncode == 2
    assert option.partition("=")[0] in done.stderr
