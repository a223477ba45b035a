"""``mailer up``: everything on one host, and nothing afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from mailer.errors import SettingsError
from mailer.host.foreman import Foreman, Service
from mailer.testbed.waiting import until
from tests.support.command import command, completed, environment
from tests.support.running import gone, running


def run(arguments: list[str], env: dict[str, str], cwd: Path) -> str:
    return subprocess.run(command(*arguments), env=env, cwd=cwd, capture_output=True, text=True, check=True).stdout


def read(url: str) -> bytes:
    with urlopen(url) as answer:  # noqa: S310 - our own
        found: bytes = answer.read()
        return found


def ids_at(simulator: str) -> list[str]:
    """The ids of the messages that the simulator took."""
    return [message["tags"]["mailer-id"] for message in json.loads(read(f"{simulator}/_sim/messages"))["messages"]]


def test_two_hosts_in_one_send_their_own_mail_and_leave_nothing_but_what_is_queued(tmp_path: Path) -> None:
    env = environment()
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    up = command("up", "--processes", "1", "--threads", "4", "--simulator-rate", "50")
    with running(up, env, here) as first, running([*up, "--no-flower"], env, there) as second:
        simulator = first.wait_for(r"  SES +simulator at (\S+), 50 per second")[1]
        flower = first.wait_for(r"  Flower +(\S+)")[1]
        assert second.wait_for(r"  SES +simulator at (\S+), 50")[1] != simulator
        first.wait_for("Stop: +Ctrl-C")
        second.wait_for("Stop: +Ctrl-C")
        processes = first.children(5) | second.children(4)

        assert b"Flower" in read(flower)
        send = ["send", "--to", "a@example.com", "--from", "me@example.com", "--subject", "Hi", "--text", "Hi"]
        message_id = run(send, env, here).strip()
        until(lambda: ids_at(simulator) == [message_id])

        run([*send, "--send-at", "2030-01-01T00:00Z"], env, here)
        busy = completed("up", env=env, cwd=here)
        assert busy.returncode != 0
        assert "A Valkey already runs over" in busy.stdout

        assert first.stop(signal.SIGINT) == 0
        assert second.stop(signal.SIGTERM) == 0
        assert gone(processes)
        assert not (here / ".mailer" / "valkey.url").exists()
        last = [line.split("|")[0].split()[-1] for line in first.lines if "|" in line]
        assert last[-1] == "valkey"

    with running(command("valkey"), env, here) as valkey:
        valkey.wait_for("redis://127.0.0.1:")
        assert json.loads(run(["status", "--json"], env, here))["scheduled"] == 1
        assert valkey.stop() == 0


def test_a_part_that_cannot_be_started_is_told_and_ends_the_others() -> None:
    services = [Service("sleep", "sleep 100", os.environ), Service("torn", "true", {"NAME": "a\0b"})]
    started = time.monotonic()
    with pytest.raises(SettingsError, match="torn could not be started"):
        Foreman(services).run()
    assert time.monotonic() - started < 60


FOREMAN = """
import faulthandler, os, shlex, signal, sys
from functools import partial
from pathlib import Path
from mailer.host.foreman import Foreman, Service
folder = Path(sys.argv[1])
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests with nohup ignores it
faulthandler.register(signal.SIGUSR1, open(folder / "stacks", "w"))
def script(text):
    return shlex.join([sys.executable, "-c", "import os, signal, sys, time\\nfrom pathlib import Path\\n" + text])
base = script(f"Path({str(folder / 'base')!r}).write_text(str(os.getpid())); time.sleep(60)")
top = script(f'''
def end(*_):
    time.sleep(0.5)
    pid = Path({str(folder / 'base')!r}).read_text()
    alive = Path("/proc", pid, "cmdline").exists() and Path("/proc", pid, "cmdline").read_bytes()
    Path({str(folder / 'end')!r}).write_text("base runs" if alive else "base is gone")
    print("ending", flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, end)
Path({str(folder / 'top')!r}).write_text("ready")
time.sleep(60)
''')
services = [
    Service("base", base, os.environ, 0, (folder / "base").exists),
    Service("top", top, os.environ, 1, (folder / "top").exists),
]
sys.exit(Foreman(services).run())
"""


def test_the_end_of_the_terminal_stops_it_in_order(tmp_path: Path) -> None:
    ours, its = os.openpty()
    arguments = [sys.executable, "-c", FOREMAN, str(tmp_path)]
    up = subprocess.Popen(arguments, stdin=its, stdout=its, stderr=its, start_new_session=True)
    os.close(its)
    try:
        until((tmp_path / "top").exists)
        os.close(ours)
        up.send_signal(signal.SIGHUP)
        try:
            assert up.wait(60) == 0
        except subprocess.TimeoutExpired:
            up.send_signal(signal.SIGUSR1)
            until((tmp_path / "stacks").read_text)
            pytest.fail((tmp_path / "stacks").read_text())
        assert (tmp_path / "end").read_text() == "base runs"
    finally:
        up.kill()
        up.wait()


def test_the_end_of_a_part_ends_the_others(tmp_path: Path) -> None:
    with running(command("up", "--processes", "1", "--no-flower"), environment(), tmp_path) as up:
        up.wait_for("Stop: +Ctrl-C")
        processes = up.children(4)
        port = (tmp_path / ".mailer" / "valkey.port").read_text()
        server = next(
            pid for pid in processes if f"127.0.0.1:{port}".encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        )
        os.kill(server, signal.SIGKILL)
        assert up.process.wait(90) != 0
        assert gone(processes)


def test_credentials_on_this_host_mean_amazon_itself_and_a_port_in_use_is_refused(tmp_path: Path) -> None:
    env = environment(AWS_ACCESS_KEY_ID="AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY="secret", AWS_REGION="eu-central-1")
    with running(command("valkey"), environment(), tmp_path) as valkey:
        port = valkey.wait_for(r"redis://127.0.0.1:(\d+)/0")[1]
        env["MAILER_REDIS_URL"] = (tmp_path / ".mailer" / "valkey.url").read_text().strip()
        done = completed("up", "--flower-port", port, env=env, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (
            2,
            f"mailer: --flower-port {port}: something listens there already. Name another port, or 0 for any\n",
        )
        done = completed("valkey", "--port", port, env=environment(MAILER_DATA_DIR=str(tmp_path / "second")))
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert done.stderr.startswith(f"mailer: Port {port} is taken: ")
        env["FLOWER_ADDRESS"] = "192.0.2.1"
        done = completed("up", env=env, cwd=tmp_path)
        assert (done.returncode, "FLOWER_BASIC_AUTH" in done.stderr) == (2, True)
