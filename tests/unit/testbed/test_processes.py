"""Processes, Valkeys and waiting: what starts, what is told of that does not, and that nothing stays."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from redis.backoff import NoBackoff
from redis.retry import Retry

from mailer.testbed.process import DidNotEnd, DidNotStart, Process, descendants, running
from mailer.testbed.valkey import Valkey, durable
from mailer.testbed.waiting import NotInTime, until

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('ready', flush=True)
time.sleep(600)
"""


def python(folder: Path, code: str) -> Process:
    return Process([sys.executable, "-c", code], folder / "its.log")


def test_one_that_ends_early_is_told_of_with_the_end_of_its_log(tmp_path: Path) -> None:
    with python(tmp_path, "raise SystemExit('no such thing')") as process:
        with pytest.raises(DidNotStart, match=r"its\. The last lines of its log:\nno such thing"):
            process.wait_for("ready")
        assert process.stop() == 1


def test_one_that_does_not_end_is_killed_and_told_of(tmp_path: Path) -> None:
    with python(tmp_path, STUBBORN) as process:
        process.wait_for("ready")
        with pytest.raises(DidNotEnd, match=r"its still ran 0\.1 s"):
            process.stop(seconds=0.1)
        assert process.stop() == -signal.SIGKILL


def test_it_ends_with_its_block_and_what_it_takes_can_be_read_until_then(tmp_path: Path) -> None:
    with Process(["sh", "-c", "sleep 1000 & echo ready; wait"], tmp_path / "its.log") as shell:
        shell.wait_for("ready")
        [below] = descendants(shell.pid)
        assert running([shell.pid, below]) == sorted([shell.pid, below])
        assert shell.cpu_seconds() >= 0
        assert shell.megabytes() > 0
        assert shell.open_files() > 0
        os.kill(below, signal.SIGTERM)
    assert not shell.running
    until(lambda: not running([shell.pid, below]), "what it started ends too")


def test_a_valkey_keeps_its_port_and_with_durable_its_data(tmp_path: Path) -> None:
    with Valkey(tmp_path, *durable()) as server:
        port = server.port
        with server.client() as client:
            client.set("kept", 1)
        server.stop()
        assert not server.running
        server.start()
        with server.client() as client:
            assert client.get("kept") == b"1"
        assert server.port == port
        assert server.cpu_seconds() > 0


def test_a_valkey_that_still_loads_its_data_is_not_taken_for_ready(tmp_path: Path) -> None:
    with Valkey(tmp_path, *durable("no")) as server:
        with server.client() as client, client.pipeline(transaction=False) as pipeline:
            for number in range(100_000):
                pipeline.set(f"key-{number}", number)
            pipeline.execute()
        server.stop(signal.SIGTERM)
        server.start()
        with server.client(retry=Retry(NoBackoff(), 0)) as client:
            assert client.get("key-99999") == b"99999"


def test_a_valkey_that_has_not_run_takes_another_port_where_its_own_is_taken(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with Valkey(tmp_path / "one") as one:
        two = Valkey(tmp_path / "two")
        two.port = one.port
        with two, two.client() as client:
            assert two.port != one.port
            assert client.info("server")["process_id"] == two.pid


def test_a_valkey_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(DidNotStart, match="Bad directive"), Valkey(tmp_path, "--no-such-option", "1"):
        pass


def test_what_never_comes_true_is_named() -> None:
    assert until(lambda: [1], "it is there") == [1]
    with pytest.raises(NotInTime, match=r"not within 0\.05 s: it is there"):
        until(list, "it is there", 0.05)
