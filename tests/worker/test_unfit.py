"""A host that can send nothing: it says so, takes nothing, and stops nobody else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mailer.monitor import read_status
from tests.worker.conftest import Post, environment, refusal_to_start, until

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
    role = {
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
    assert (state.state, state.stop) == ("sending", None)
    assert (state.unfit or "").startswith("unfit@here: ClientError: An error occurred (AccessDenied)")

    post.worker("-n", "fit@there")
    until(lambda: sorted(post.arrivals()) == sorted(["first@example.com", *to]), "another host sends it all")
    assert unfit.text.count("cannot send") == 1


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
