"""Other users of the host against the embedded Valkey: they read nothing, change nothing, and lead nobody astray."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from mailer.errors import NotOurs
from mailer.host.port import LOOPBACK, answers, free_port, is_ours
from mailer.host.valkey import EmbeddedValkey
from mailer.producer.producer import Producer
from mailer.queue.connection import connect
from mailer.queue.embedded import embedded_url
from mailer.queue.keys import Keys
from mailer.queue.queue import Queue
from mailer.settings import Settings, load
from mailer.testbed.valkey import Valkey
from tests.support.another_user import NOBODY, as_another, common_folder, needs_two_users
from tests.support.command import command, completed, environment
from tests.support.running import running

LETTER: dict[str, Any] = {
    "to": "jane@example.com",
    "sender": "shop@example.com",
    "subject": "Your code",
    "text": "It is 4711.",
}
SEND = ["send", *(part for name, value in LETTER.items() for part in (f"--{name}", value))]
BELIEVED = ("valkey.url", "valkey.password", "valkey.conf", "valkey.port", "valkey.lock")


@pytest.fixture
def common() -> Iterator[Path]:
    """A folder as a project's: everybody reads it, one user writes it."""
    with common_folder(0o755) as folder:
        yield folder


def send(settings: Settings) -> str:
    with connect(settings) as client:
        message_id: str = Producer(Queue(client, Keys.of(settings)), settings.lanes).send(**LETTER)
        return message_id


def modes(folder: Path) -> dict[str, int]:
    return {str(each.relative_to(folder)): stat.S_IMODE(each.stat().st_mode) for each in (folder, *folder.rglob("*"))}


def test_all_of_it_is_for_this_user_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with EmbeddedValkey(tmp_path / ".mailer"):
            send(load(data_dir=tmp_path / ".mailer"))
            found = modes(tmp_path / ".mailer")
    finally:
        os.umask(before)
    assert set(BELIEVED) < set(found)
    assert {name.rpartition(".")[2] for name in found if name.startswith("appendonlydir/")} >= {"aof", "manifest"}
    assert {name for name, mode in found.items() if mode & 0o077} == set()


def test_what_an_earlier_version_let_others_read_is_taken_from_them(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path):
        settings = load(data_dir=tmp_path)
        message_id = send(settings)
    for name, mode in modes(tmp_path).items():
        (tmp_path / name).chmod(mode | (0o055 if (tmp_path / name).is_dir() else 0o044))
    with EmbeddedValkey(tmp_path), connect(settings) as client:
        assert {name for name, mode in modes(tmp_path).items() if mode & 0o077} == set()
        assert message_id.encode() in client.lindex(Keys.of(settings).lane("transactional"), 0)


@needs_two_users
def test_another_user_reads_and_changes_nothing(common: Path) -> None:
    with EmbeddedValkey(common / ".mailer") as server:
        settings = load(data_dir=common / ".mailer")
        send(settings)
        tries: dict[str, Callable[[], object]] = {name: (common / ".mailer" / name).read_bytes for name in BELIEVED}
        tries["folder"] = partial(os.listdir, common / ".mailer")
        tries["data"] = partial(os.listdir, common / ".mailer" / "appendonlydir")
        tries["new file"] = (common / ".mailer" / "new").touch
        assert {as_another(each) for each in tries.values()} == {"PermissionError"}
        for word in (None, "", "guessed"):
            stranger = redis.Redis(port=server.port, password=word, retry=Retry(NoBackoff(), 0))
            assert as_another(partial(stranger.execute_command, "KEYS", "*")) == "AuthenticationError"
        bare = load(redis_url=server.place)
        assert as_another(partial(send, bare)) == "QueueUnavailable"
        assert as_another(partial(send, settings)) == "NotOurs"
        with connect(settings) as client:
            assert client.llen(Keys.of(settings).lane("transactional")) == 1


def test_the_password_is_on_no_command_line_and_in_nothing_printed(tmp_path: Path) -> None:
    env = environment(MAILER_DATA_DIR=str(tmp_path))
    with running(command("valkey"), env, tmp_path) as valkey:
        valkey.wait_for("redis://127.0.0.1:")
        password = (tmp_path / "valkey.password").read_text()
        assert len(password) == 64
        assert f":{password}@" in (tmp_path / "valkey.url").read_text()
        shown = [Path(f"/proc/{pid}/cmdline").read_text() for pid in (valkey.process.pid, *valkey.children(1))]
        for arguments in (["status"], ["status", "--json"], ["doctor", "--no-ses"], SEND):
            done = completed(*arguments, env=env)
            shown += [done.stdout, done.stderr]
        valkey.stop()
        assert password not in "\n".join([*shown, *valkey.lines])
    with EmbeddedValkey(tmp_path) as again:
        assert password in again.url


def test_two_processes_of_one_user_find_it(tmp_path: Path) -> None:
    with running(command("valkey"), environment(), tmp_path) as valkey:
        valkey.wait_for("redis://127.0.0.1:")
        for _ in range(2):
            subprocess.run(command(*SEND), env=environment(), cwd=tmp_path, check=True, capture_output=True)
        settings = load(data_dir=tmp_path / ".mailer")
        with connect(settings) as client:
            assert client.llen(Keys.of(settings).lane("transactional")) == 2


@needs_two_users
@pytest.mark.parametrize("arguments", [SEND, ["status"], ["worker"], ["up", "--no-flower"], ["valkey"]])
def test_a_folder_that_another_user_planted_is_not_believed(valkey: Valkey, arguments: list[str]) -> None:
    def plant() -> None:
        os.chdir(folder)
        Path(".mailer").mkdir()
        Path(".mailer/valkey.url").write_text(f"{valkey.url}\n")

    with common_folder(0o1777) as folder:
        assert as_another(plant) == "None"
        done = completed(*arguments, env=environment(), cwd=folder)
        said = done.stdout + done.stderr
        assert done.returncode != 0
        assert f"{folder}/.mailer belongs to nobody" in said
        assert "MAILER_REDIS_URL" in said
        with redis.Redis.from_url(valkey.url) as client:
            assert client.llen(Keys.of(load()).lane("transactional")) == 0


@needs_two_users
def test_a_file_that_another_user_planted_in_our_folder_is_not_believed(valkey: Valkey, common: Path) -> None:
    ours = common / ".mailer"
    ours.mkdir()
    ours.chmod(0o777)
    as_another(lambda: (ours / "valkey.url").write_text(valkey.url))
    with pytest.raises(NotOurs, match="everybody may write"):
        embedded_url(ours)
    with pytest.raises(NotOurs, match="everybody may write"):
        EmbeddedValkey(ours).start()
    ours.chmod(0o700)
    with pytest.raises(NotOurs, match=r"valkey.url belongs to nobody.* Set MAILER_REDIS_URL"):
        embedded_url(ours)
    with pytest.raises(NotOurs, match="belongs to nobody"):
        EmbeddedValkey(ours).start()


def test_an_address_of_a_server_that_was_killed_is_not_believed(tmp_path: Path) -> None:
    """Somebody else may listen on its port by now, and would be told the password."""
    with EmbeddedValkey(tmp_path) as server:
        url = server.url
        assert embedded_url(tmp_path) == url
    assert embedded_url(tmp_path) is None
    (tmp_path / "valkey.url").write_text(url)
    assert embedded_url(tmp_path) is None
    (tmp_path / "valkey.lock").unlink()
    assert embedded_url(tmp_path) == url, "somebody has written it by hand"


def test_who_looks_for_it_does_not_keep_it_from_starting(tmp_path: Path) -> None:
    (tmp_path / "valkey.lock").touch()
    with (tmp_path / "valkey.lock").open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        looked = subprocess.Popen(["sleep", "0.3"], pass_fds=[looking.fileno()])
        looking.close()
        with EmbeddedValkey(tmp_path) as server:
            assert embedded_url(tmp_path) == server.url
        looked.wait()


@needs_two_users
def test_a_server_of_another_user_on_our_port_is_not_taken_for_ours() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            with suppress(OSError):
                while True:
                    listener.accept()[0].recv(1)

        def serve_as(uid: int) -> int:
            child = os.fork()
            if child == 0:
                os.setuid(uid)
                serve()
                os._exit(0)
            return child

        def ended(child: int) -> None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

        theirs = serve_as(NOBODY)
        try:
            assert answers(port)
            assert not is_ours(port)
        finally:
            ended(theirs)
        ours = serve_as(os.getuid())
        try:
            assert is_ours(port)
        finally:
            ended(ours)
    assert not is_ours(port)


@needs_two_users
def test_a_claim_that_another_user_planted_costs_a_port_and_nothing_more() -> None:
    port = free_port()
    claim = Path(tempfile.gettempdir()) / f"mailer-port-{port}-{os.getuid()}.lock"
    as_another(partial(claim.symlink_to, "/root/planted"))
    try:
        assert free_port(port) != port
        assert not Path("/root/planted").exists()
    finally:
        claim.unlink()
