"""The password of Redis in what a worker says of itself: ``celery inspect``, ``celery report``, Flower."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from mailer.host import child
from mailer.host.foreman import procfile
from mailer.host.port import wait_for
from mailer.settings import Settings, load
from mailer.simulator.client import Simulator
from mailer.testbed.valkey import Valkey
from mailer.testbed.waiting import free_port, until
from mailer.worker.app import Application
from tests.support.post import PATIENT, Post, environment

PASSWORD = "pass%40w0rd"
BODY = "Nobody but Jane reads this."
SECRETS = (PASSWORD, "pass@w0rd", "k3yword")


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{PASSWORD}@127.0.0.1:6379/0",
        f"redis://worker:{PASSWORD}@127.0.0.1:6379/0",
        f"rediss://worker:{PASSWORD}@127.0.0.1:6379/0?ssl_password=k3yword&ssl_keyfile=/key.pem",
        f"unix://worker:{PASSWORD}@/run/valkey.sock",
        f"unix://:{PASSWORD}@/run/valkey.sock",
        f"sentinel://worker:{PASSWORD}@a:26379;sentinel://:{PASSWORD}@b:26379/0",
    ],
)
def test_no_form_of_url_shows_its_password(url: str) -> None:
    settings = load(redis_url=url, redis_sentinel_master="post")
    with Application(settings) as app:
        connection = app.connection_for_read()
        info = connection.info()
        assert info.pop("password") in (None, "pass@w0rd"), "Celery takes this out itself"
        said = [
            json.dumps(info, default=str),
            *(repr(connection), connection.as_uri(), app.bugreport(), repr(app.conf.table()), repr(settings)),
        ]
    assert [(secret, text) for text in said for secret in SECRETS if secret in text] == []


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Of a server that wants a password, over a socket."""
    folder = tmp_path_factory.mktemp("s")
    with Valkey(folder, "--unixsocket", str(folder / "s")) as server, server.client() as client:
        client.config_set("requirepass", "pass@w0rd")
        yield load(
            redis_url=f"unix://default:{PASSWORD}@{folder}/s",
            rate_per_second=1000,
            quota_per_day=-1,
            **{"data_dir": folder, **PATIENT},
        )


def test_a_worker_over_a_socket_keeps_its_password_from_inspect_and_flower(
    settings: Settings, simulator: Simulator, tmp_path: Path
) -> None:
    post = Post(settings, simulator, tmp_path)
    env = environment(settings, simulator)
    port = free_port()
    env |= {"FLOWER_PORT": str(port), "FLOWER_UNAUTHENTICATED_API": "true"}
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
    command = ["/bin/sh", "-c", f"exec {procfile()['flower']}"]
    with (tmp_path / "flower.log").open("wb") as log:
        flower = child.start(command, env=env, stdout=log, stderr=log)
    try:
        worker = post.worker("-n", "post@here", "-E", "-l", "DEBUG")
        post.send("jane@example.com", text=BODY)
        until(lambda: post.arrivals("jane@example.com"), "the mail is sent")
        said = [worker.text]
        with Application(settings) as app:
            inspect = app.control.inspect(timeout=60, limit=1)
            said += [json.dumps(asked()) for asked in (inspect.stats, inspect.conf, inspect.active_queues)]
        assert '"hostname": "gated+socket://***@/' in said[1]
        command = [sys.executable, "-m", "celery", "-A", "mailer.worker", "report"]
        said.append(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)
        assert wait_for(port, 60)

        def read(page: str) -> str:
            with urlopen(f"http://127.0.0.1:{port}{page}") as answer:
                return str(answer.read().decode())

        until(lambda: "gated" in read("/worker/post@here"), "Flower knows the worker")
        said += [read(page) for page in ("/", "/worker/post@here", "/api/workers", "/tasks", "/api/tasks")]
        said += [read("/broker"), (tmp_path / "flower.log").read_text()]
    finally:
        child.stop(flower, 30)
        post.close()
    assert [(secret, text) for text in said for secret in SECRETS if secret in text] == []
    assert [text for text in said if "jane@" in text or BODY in text] == []
