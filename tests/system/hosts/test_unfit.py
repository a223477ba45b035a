"""A host that can send nothing: it says so, takes nothing, and stops nobody else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mailer.operations.history import history_of
from mailer.operations.status import read_status
from mailer.queue.shelf import Filter, Shelf
from mailer.testbed.waiting import until
from tests.support.post import Post, environment, refusal_to_start

_GRANTED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>AKIAIOSFODNN7EXAMPLE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>
<SessionToken>token</SessionToken><Expiration>{expires}</Expiration></Credentials></AssumeRoleResult>
</AssumeRoleResponse>"""
_REFUSED = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>AccessDenied</Code><Message>Not authorized to perform sts:AssumeRole</Message></Error></ErrorResponse>"""


class Sts:
    """The service that gives this host's role, for some seconds at a time, until it no longer does."""

    def __init__(self) -> None:
        self.gives = True
        self.given_until = datetime.min.replace(tzinfo=UTC)
        sts = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                expires = datetime.now(UTC) + timedelta(seconds=8)
                if sts.gives:
                    sts.given_until = expires
                text = _GRANTED.format(expires=f"{expires:%Y-%m-%dT%H:%M:%SZ}") if sts.gives else _REFUSED
                body = text.encode()
                self.send_response(200 if sts.gives else 403)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def sts() -> Iterator[Sts]:
    sts = Sts()
    thread = threading.Thread(target=sts.server.serve_forever)
    thread.start()
    yield sts
    sts.server.shutdown()
    sts.server.server_close()
    thread.join()


def test_a_host_whose_role_is_taken_away_rests_and_another_sends(post: Post, sts: Sts, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        "[profile sender]\nrole_arn = arn:aws:iam::123456789012:role/sender\nsource_profile = host\n"
        "[profile host]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = secret\n"
    )
    role: dict[str, Any] = {
        "AWS_CONFIG_FILE": str(config),
        "AWS_PROFILE": "sender",
        "AWS_ACCESS_KEY_ID": "",  # which would come before the profile
        "AWS_ENDPOINT_URL_STS": sts.url,
    }
    unfit = post.worker("-n", "unfit@here", **role)
    post.producer.send(to="first@example.com", sender="a@example.com", subject="Hi", text="Hi")
    until(lambda: post.arrivals() == ["first@example.com"], "with the role it sends")

    sts.gives = False
    until(lambda: datetime.now(UTC) > sts.given_until, "what it was given last has run out")
    to = [f"u{number}@example.com" for number in range(30)]
    post.producer.send(to=to, sender="a@example.com", subject="Hi", text="Hi", lane="bulk")
    until(lambda: "cannot send" in unfit.text, "without it, it says that it cannot")
    until(lambda: post.client.llen(post.keys.lane("bulk")) == 30, "all that it took is back in its lane")
    state = read_status(post.client, post.settings)
    assert (state.state, state.stop) == ("resting", None)
    (host,) = state.hosts
    assert (host.worker, host.host) == ("unfit@here", "here")
    assert host.why.startswith("ClientError: An error occurred (AccessDenied)")

    post.worker("-n", "fit@there")
    until(lambda: sorted(post.arrivals()) == sorted(["first@example.com", *to]), "another host sends it all")
    until(lambda: read_status(post.client, post.settings).state == "sending", "that is said")
    # What was under way with the old role may have ended its first rest.
    assert 1 <= unfit.text.count("cannot send") < 5


BAD_KEY = "AKIAREFUSED"


@pytest.mark.parametrize(
    ("error", "code"),
    [("expired-token", "ExpiredTokenException"), ("access-denied", "AccessDeniedException")],
)
def test_one_host_whose_key_is_refused_stops_nobody_and_goes_on_by_itself_once_it_is_not(
    post: Post, error: str, code: str
) -> None:
    # One attempt: what costs one more is a dead letter.
    post.settings = post.settings.model_copy(update={"retry_hours": 0})
    post.simulator.add_fault("error", error=error, access_key=BAD_KEY, operation=None)
    bad = post.worker("-n", "bad@web-3", wait=False, AWS_ACCESS_KEY_ID=BAD_KEY)
    post.worker("-n", "good@web-4", wait=False)
    for worker in post.workers:
        worker.wait_until_ready()

    sent = 0
    while not post.client.hexists(post.keys.hosts, "bad@web-3"):
        post.producer.send(
            to=[f"u{sent + i}@example.com" for i in range(20)], sender="a@example.com", text="Hi", subject="Hi"
        )
        sent += 20
        until(lambda: len(post.arrivals()) == sent, "the good host sends all of it")  # noqa: B023
    status = read_status(post.client, post.settings)
    assert (status.state, status.stop, [each.worker for each in status.hosts]) == ("sending", None, ["bad@web-3"])
    assert status.hosts[0].why.startswith(f"{code}: ")
    assert len(set(post.arrivals())) == len(post.arrivals()), "none of it twice"
    assert post.aside("dead") == post.aside("held") == {}
    assert bad.text.count("This worker cannot send") == 1

    post.simulator.clear_faults()
    post.workers[1].stop()
    post.send("last@example.com")
    until(lambda: post.arrivals("last@example.com"), "the host that was refused sends")
    until(lambda: read_status(post.client, post.settings).hosts == (), "and is no longer named")
    assert post.aside("dead") == {}


def test_an_ses_that_is_not_reached_costs_no_attempt_and_is_used_when_it_is_back(post: Post) -> None:
    post.settings = post.settings.model_copy(update={"retry_hours": 0})
    worker = post.worker("-n", "w@web-3")
    post.send("first@example.com")
    until(lambda: post.arrivals() and post.idle(), "it sends, and has its answer")
    simulator = post.simulator
    simulator.stop()
    try:
        to = [f"u{number}@example.com" for number in range(30)]
        post.producer.send(to=to, sender="a@example.com", subject="Hi", text="Hi")
        until(lambda: worker.text.count("unreachable COULDNT_CONNECT") > 9, "it has tried several times")
        until(lambda: read_status(post.client, post.settings).state == "resting", "that is said")
        assert post.aside("dead") == post.aside("held") == {}
    finally:
        simulator.start()
    until(lambda: sorted(post.arrivals()) == sorted(to), "all of it is sent once it is back")
    assert post.aside("dead") == post.aside("held") == {}
    until(lambda: read_status(post.client, post.settings).hosts == (), "and the host is no longer named")


def test_mail_that_its_sender_may_not_send_stands_in_nobody_s_way_and_is_tried_later(post: Post) -> None:
    post.simulator.add_fault("error", error="access-denied", recipient="denied")
    worker = post.worker("-n", "w@web-3")
    denied = [post.send(f"denied{number}@example.com") for number in range(3)]
    good = [f"u{number}@example.com" for number in range(40)]
    post.producer.send(to=good, sender="a@example.com", subject="Hi", text="Hi")
    until(lambda: sorted(post.arrivals()) == sorted(good), "all other mail is sent")
    until(lambda: post.client.zcard(post.keys.schedule) == 3, "what is denied waits in the schedule")
    assert post.aside("dead") == post.aside("held") == {}
    history = history_of(post.client, post.settings, denied[0])
    assert history is not None
    assert (history.state, history.lines[-1].verb, history.lines[-1].code) == (
        "scheduled",
        "defer",
        "AccessDeniedException",
    )
    post.simulator.clear_faults()
    Shelf(post.producer.queue, "scheduled", post.settings.lanes).requeue(Filter())
    until(lambda: len(post.arrivals()) == 43, "and is sent once it may be")
    assert worker.text.count("Traceback") == 0


@pytest.mark.parametrize("missing", ["AWS_REGION", "AWS_SECRET_ACCESS_KEY"])
def test_a_worker_that_could_send_nothing_from_the_start_does_not_start(post: Post, missing: str) -> None:
    env = environment(post.settings, post.simulator)
    del env[missing]
    assert "set AWS_REGION" in refusal_to_start(env, "-P", "solo").splitlines()[-1]


def test_a_worker_looks_for_its_credentials_once(post: Post, tmp_path: Path) -> None:
    looked = tmp_path / "looked"
    command = tmp_path / "command"
    command.write_text(
        f"echo once >> {looked}\n"
        'echo \'{"Version": 1, "AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "SecretAccessKey": "secret"}\'\n'
    )
    config = tmp_path / "config"
    config.write_text(f"[profile sender]\ncredential_process = /bin/sh {command}\n")
    post.worker(AWS_CONFIG_FILE=str(config), AWS_PROFILE="sender", AWS_ACCESS_KEY_ID="")
    post.send("first@example.com")
    until(lambda: post.arrivals() == ["first@example.com"], "it sends")
    assert looked.read_text() == "once\n"
