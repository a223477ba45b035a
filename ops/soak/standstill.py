"""Detects standstills of the simulator. A busy machine stops any process for seconds, which breaks no promise."""

from __future__ import annotations

import http.client
import time
from contextlib import closing
from urllib.parse import urlsplit

from mailer.testbed.waiting import Beside

_PAUSE_SECONDS = 0.1


class Watch(Beside):
    """Repeats a request that the simulator answers at once. Counts the answers that take more than ``seconds``."""

    def __init__(self, url: str, seconds: float) -> None:
        super().__init__()
        self.count = 0
        self._netloc = urlsplit(url).netloc
        self._seconds = seconds

    def work(self) -> None:
        with closing(http.client.HTTPConnection(self._netloc, timeout=60)) as connection:
            while not self.over.wait(_PAUSE_SECONDS):
                start = time.monotonic()
                try:
                    connection.request("GET", "/_sim/clock")
                    connection.getresponse().read()
                except (OSError, http.client.HTTPException):
                    # The simulator may end before this thread.
                    connection.close()
                    continue
                self.count += time.monotonic() - start > self._seconds
