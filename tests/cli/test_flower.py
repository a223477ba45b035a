"""Flower under ``mailer up``: it shows what it should, and no other web page reads it or stops a worker."""

from __future__ import annotations

import http.client
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.conftest import command, environment
from tests.cli.running import Running, eventually, running
from tests.conftest import free_port
from tests.simulator.browser import CHROMIUM, Page
from tests.simulator.foreign import FLAG, Foreign, asked, submitted

HOSTILE = "<img src=x onerror=alert(1)>"
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
        done = subprocess.run(
            command(*arguments), env=self._env, cwd=self._folder, capture_output=True, text=True, check=True
        )
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


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("up")
    env = environment(FLOWER_UNAUTHENTICATED_API="true", FLOWER_ALLOW_HOST="flower,mail.example.com")
    arguments = ("--processes", "1", "--threads", "4", "--flower-port", str(free_port()))
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
    for method, path in (
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
    ):
        status, headers, text = up.ask(method, path, **foreign)
        assert status == 403, path
        assert "our own page" in text.lower() or "--allow-host" in text
        assert not [name for name in headers if name.startswith("access-control-")]


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
    up.mailer("send", "--to", "ann@example.com", "--sender", "me@example.com", "--subject", "Hi", "--text", "Hi")
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
    up.mailer("send", "--to", "bob@example.com", "--sender", "me@example.com", "--subject", HOSTILE, "--text", HOSTILE)

    def told() -> bool:
        return "onerror" in up.ask("GET", "/api/tasks")[2]

    eventually(told)
    page.events.clear()
    page.go(f"{up.flower}/tasks")
    page.wait("document.querySelector('#tasks-table')?.textContent.includes('onerror')")
    assert page.run("document.querySelectorAll('#tasks-table img').length") == 0
    page.run("[...document.querySelectorAll('#tasks-table a')].find((each) => each.href.includes('/task/')).click()")
    page.wait("location.pathname.startsWith('/task/')")
    page.wait("document.readyState === 'complete'")
    assert page.run("document.querySelectorAll('td img, td script').length") == 0
    assert "Page.javascriptDialogOpening" not in [event.get("method") for event in page.events]


def test_with_a_password_any_name_is_answered_and_no_other_page(tmp_path: Path) -> None:
    port = str(free_port())
    env = environment(MAILER_REDIS_URL="redis://127.0.0.1:1/0", FLOWER_BASIC_AUTH="ann:secret", AWS_REGION="us-east-1")
    (tmp_path / "flowerconfig.py").write_text("raise SystemExit('the current folder was run')\n")
    with running(command("flower", "--address=127.0.0.1", f"--port={port}"), env, tmp_path) as flower:
        flower.wait_for("Visit me at")

        def status(**headers: str) -> int:
            connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
            connection.request("GET", "/", headers={name.replace("_", "-"): value for name, value in headers.items()})
            found = connection.getresponse().status
            connection.close()
            return found

        word = {"Authorization": "Basic YW5uOnNlY3JldA=="}
        assert status(Host="flower.example.com", **word) == 200
        assert status(Host="flower.example.com") == 401
        assert status(Host="flower.example.com", Sec_Fetch_Site="cross-site", **word) == 403
        assert status(Host="flower.example.com", Origin="https://evil.example", **word) == 403


@pytest.mark.parametrize("name", ["*", "http://x", "a,*"])
def test_a_name_that_is_none_is_refused_at_the_start(tmp_path: Path, name: str) -> None:
    env = environment(MAILER_REDIS_URL="redis://127.0.0.1:1/0", AWS_REGION="us-east-1")
    done = subprocess.run(
        command("flower", f"--allow_host={name}"), env=env, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "--allow_host" in done.stderr
