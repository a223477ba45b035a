"""The embedded Valkey after one that came to a bad end."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
import redis

from mailer.host.everything import Ports, everything
from mailer.host.valkey import EmbeddedValkey
from mailer.settings import load
from tests.support.command import command, environment
from tests.support.running import running

STALE = "redis://127.0.0.1:1/0\n"


@pytest.mark.parametrize("written", ["", "\0\0\0\0\0", "99999"])
def test_a_port_that_was_not_written_down_whole_is_forgotten(tmp_path: Path, written: str) -> None:
    (tmp_path / "valkey.port").write_text(written)
    with EmbeddedValkey(tmp_path) as server:
        assert (tmp_path / "valkey.port").read_text() == str(server.port)


def test_an_address_left_by_a_server_that_was_killed_is_no_sign_of_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", "http://127.0.0.1:1")
    (tmp_path / "valkey.url").write_text(STALE)
    whole = everything(
        load(data_dir=tmp_path), processes=1, threads=1, ports=Ports(), simulator=False, flower=False, stop_seconds=1
    )
    is_ready = whole.services[0].is_ready
    assert is_ready is not None
    assert not is_ready()
    with EmbeddedValkey(tmp_path):
        assert is_ready()
    assert not is_ready()


def test_told_to_stop_it_waits_for_who_is_connected(tmp_path: Path) -> None:
    """As under honcho, which stops it together with the workers that settle in it."""
    with running(command("valkey"), environment(MAILER_DATA_DIR=str(tmp_path)), tmp_path) as server:
        server.wait_for("redis://")
        with redis.Redis.from_url((tmp_path / "valkey.url").read_text().strip()) as client:
            client.ping()
            server.process.send_signal(signal.SIGTERM)
            time.sleep(1)
            client.set("settled", 1)
        assert server.process.wait(30) == 0
