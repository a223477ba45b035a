"""Credentials that expire, are replaced or are refused: the next send uses the right ones, and waits for nobody."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mailer.errors import HostUnfit, SendError
from mailer.ses.access import ClientConfig
from mailer.ses.account import read_account
from mailer.ses.credentials import CredentialSource, Found, look_up
from mailer.ses.smtp import SmtpTransport
from mailer.ses.transport import Transport
from mailer.simulator.client import Simulator
from mailer.testbed.environment import ACCESS_KEY, SECRET_KEY
from mailer.testbed.waiting import until
from tests.unit.ses.conftest import Opener, a_message

Write = Callable[..., None]


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Credentials come from this folder's ``credentials`` and ``config``, and from nowhere else."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    return tmp_path


@pytest.fixture
def source() -> Iterator[CredentialSource]:
    opened = CredentialSource()
    yield opened
    opened.close()


def write_key(files: Path, key: str, secret: str) -> None:
    (files / "credentials").write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")


class Command:
    """A ``credential_process`` that says what ``answer`` says and counts its runs."""

    def __init__(self, files: Path) -> None:
        self._answer, self._runs = files / "answer", files / "runs"
        script = files / "command"
        script.write_text(f"echo >> {self._runs}\n. {self._answer}\n")
        (files / "config").write_text(f"[default]\ncredential_process = /bin/sh {script}\n")

    def gives(self, key: str, secret: str, *, seconds: float | None = None, after: Path | None = None) -> None:
        """``seconds`` is how long they live; ``after``, a file that must be there first."""
        expires = ""
        if seconds is not None:
            moment = f"$(date -u -d '+{seconds} seconds' +%Y-%m-%dT%H:%M:%S.%NZ)"
            expires = f', "SessionToken": "t", "Expiration": "{moment}"'
        answer = f'{{"Version": 1, "AccessKeyId": "{key}", "SecretAccessKey": "{secret}"{expires}}}'
        wait = f"until [ -e {after} ]; do sleep 0.1; done\n" if after else ""
        self._is(f"{wait}cat <<END\n{answer}\nEND\n")

    def fails(self, words: str) -> None:
        self._is(f"echo {words} >&2\nexit 1\n")

    def _is(self, script: str) -> None:
        partial = self._answer.with_name("partial")
        partial.write_text(script)
        partial.replace(self._answer)

    @property
    def runs(self) -> int:
        return len(self._runs.read_text().splitlines()) if self._runs.exists() else 0


@pytest.fixture
def command(files: Path) -> Command:
    return Command(files)


def is_sent(transport: Transport) -> bool:
    try:
        transport.send(a_message())
    except SendError:
        return False
    return True


def test_a_key_that_is_replaced_in_its_file_is_used_without_a_restart(
    files: Path, ses: Simulator, transport: Transport
) -> None:
    write_key(files, ACCESS_KEY, SECRET_KEY)
    transport.send(a_message(to="before@example.com"))
    write_key(files, "AKIANEW", "new")
    ses.set_secrets({"AKIANEW": "new"})
    until(lambda: is_sent(transport))
    assert len(ses.messages(recipient="before@example.com")) == 1
    assert len(ses.messages(recipient="ann@example.com")) == 1


def test_a_key_that_is_refused_is_looked_up_anew_where_no_file_tells(
    command: Command, ses: Simulator, transport: Transport
) -> None:
    command.gives(ACCESS_KEY, SECRET_KEY)
    transport.send(a_message())
    transport.close()  # SES lets SMTP connections that are logged in go on
    transport.send(a_message())
    command.gives("AKIANEW", "new")
    ses.set_secrets({"AKIANEW": "new"})
    for _ in range(3):
        transport.prepare()
    assert command.runs == 2
    if isinstance(transport, SmtpTransport):
        transport._idle.close()
    until(lambda: is_sent(transport))


def test_get_account_tells_that_the_key_is_refused_as_well(command: Command, ses: Simulator) -> None:
    config, source = ClientConfig(endpoint_url=ses.url, ca_bundle=ses.ca_file), CredentialSource()
    command.gives(ACCESS_KEY, "wrong")
    with pytest.raises(SendError, match="InvalidSignature"):
        read_account(config, source)
    command.gives(ACCESS_KEY, SECRET_KEY)

    def answers() -> bool:
        try:
            return read_account(config, source).max_send_rate == 1000
        except SendError:
            return False

    until(answers)
    source.close()


def test_smtp_connections_that_are_logged_in_with_a_replaced_key_are_not_used(files: Path, ses: Simulator) -> None:
    write_key(files, ACCESS_KEY, SECRET_KEY)
    ses.set_secrets({ACCESS_KEY: SECRET_KEY, "AKIANEW": "new"})
    host, port = ses.smtp
    config = ClientConfig(smtp_url=f"smtp://{host}:{port}", ca_bundle=ses.ca_file, connect_timeout=10, read_timeout=10)
    with SmtpTransport(config) as transport:
        transport.send(a_message())
        write_key(files, "AKIANEW", "new")
        until(lambda: transport.credentials.current().access_key == "AKIANEW")
        transport.send(a_message())
        assert [connection.server.user for connection in transport._idle] == ["AKIANEW"]


def test_short_lived_credentials_are_looked_up_once_and_not_at_each_send(
    command: Command, ses: Simulator, opener: Opener
) -> None:
    command.gives(ACCESS_KEY, SECRET_KEY, seconds=840)
    transport = opener()
    for _ in range(5):
        is_sent(transport)  # not by SMTP, which takes none that are temporary
    assert command.runs == 1


class Later:
    """A clock that can be put forward."""

    seconds = 0.0

    def __call__(self) -> float:
        return time.time() + self.seconds


def test_what_expires_is_replaced_before_it_does(command: Command) -> None:
    later = Later()
    source = CredentialSource(now=later)
    command.gives("A1", "s", seconds=3600)
    assert source.current(60).access_key == "A1"
    command.gives("A2", "s", seconds=7200)
    later.seconds = 0.7 * 3600
    time.sleep(3)
    assert (source.current().access_key, command.runs) == ("A1", 1)
    later.seconds = 0.8 * 3600
    until(lambda: source.current().access_key == "A2")
    source.close()


def key_in_force(source: CredentialSource) -> str | None:
    with suppress(SendError):
        return source.current().access_key
    return None


def test_what_is_in_force_stays_so_while_nothing_new_can_be_had(command: Command) -> None:
    later = Later()
    source = CredentialSource(now=later)
    command.gives("A1", "s", seconds=840)
    assert source.current(60).access_key == "A1"
    command.fails("closed for repairs")
    later.seconds = 700
    until(lambda: command.runs > 2)
    assert source.current().access_key == "A1"
    later.seconds = 900
    with pytest.raises(SendError, match="closed for repairs"):
        source.current(60)
    command.gives("A2", "s", seconds=3600)
    until(lambda: key_in_force(source) == "A2")
    source.close()


def test_who_may_not_wait_does_not(command: Command, source: CredentialSource, tmp_path: Path) -> None:
    there = tmp_path / "there"
    command.gives("A1", "s", after=there)
    with pytest.raises(SendError, match="still being looked up after 0 s"):
        source.current()
    there.touch()
    assert source.current(60).access_key == "A1"


def test_all_that_wait_get_what_one_look_up_finds(command: Command, source: CredentialSource, tmp_path: Path) -> None:
    there = tmp_path / "there"
    command.gives("A1", "s", after=there)
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(source.current(60).access_key)) for _ in range(8)]
    for thread in threads:
        thread.start()
    there.touch()
    for thread in threads:
        thread.join()
    assert (found, command.runs) == (["A1"] * 8, 1)


def test_a_broken_file_leaves_in_force_what_was_found_before(files: Path, source: CredentialSource) -> None:
    write_key(files, "A1", "s")
    assert source.current(60).access_key == "A1"
    (files / "credentials").write_text("[default]\naws_access_key_id = A2\n")
    until(lambda: source._error is not None)
    assert source.current().access_key == "A1"
    write_key(files, "A2", "s")
    until(lambda: source.current().access_key == "A2")


def test_without_any_credentials_this_host_is_unfit(files: Path, source: CredentialSource) -> None:
    with pytest.raises(HostUnfit, match="NoCredentials"):
        source.current(60)
    write_key(files, "A1", "s")
    until(lambda: key_in_force(source) == "A1")


def test_what_this_hosts_clock_takes_for_expired_is_tried(files: Path) -> None:
    write_key(files, "A1", "s")
    found = look_up()
    source = CredentialSource(look_up=lambda _: Found(found.credentials, expires=1000.0), now=lambda: 2000.0)
    assert source.current(60).access_key == "A1"
    source.close()


def test_a_closed_source_begins_anew(files: Path, source: CredentialSource) -> None:
    write_key(files, "A1", "s")
    assert source.current(60).access_key == "A1"
    source.close()
    write_key(files, "A2", "s")
    assert source.current(60).access_key == "A2"
