"""moto's server as a process of its own: what the simulator is compared with."""

from __future__ import annotations

import http.client
import sys
import tempfile
from pathlib import Path
from typing import Self

from mailer.host.port import LOOPBACK, answers
from mailer.testbed.process import Process
from mailer.testbed.waiting import free_port, until


class Moto(Process):
    """Listens on a free port of the loopback interface while it is entered."""

    def __init__(self) -> None:
        self._port = free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="moto-")
        command = [sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(self._port)]
        super().__init__(command, Path(self._folder.name) / "moto.log")

    def __enter__(self) -> Self:
        super().__enter__()
        until(self._answers, "moto answers")
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._folder.cleanup()

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._port}"

    def reset(self) -> None:
        """As at the start."""
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=30)
        connection.request("POST", "/moto-api/reset")
        connection.getresponse().read()
        connection.close()

    def _answers(self) -> bool:
        self.check()
        return answers(self._port)
