"""Another user of the account, who sends straight to SES at a steady pace and does not retry."""

from __future__ import annotations

import http.client
import itertools
import json
import random
import threading
import time
from typing import Self
from urllib.parse import urlsplit

ADDRESS = "competitor@example.com"
_CONNECTIONS = 8
_BODY = json.dumps(
    {
        "FromEmailAddress": "Other <other@example.com>",
        "Destination": {"ToAddresses": [ADDRESS]},
        "Content": {"Simple": {"Subject": {"Data": "Hello"}, "Body": {"Text": {"Data": "Hello."}}}},
    }
)


class Competitor:
    """Sends ``rate`` mails per second from the start to the end of the block, at most ``limit`` in total.

    Each mail comes up to half an interval early or late, as two programs never keep step with each other.
    """

    def __init__(self, url: str, rate: float, limit: int | None = None) -> None:
        self.accepted = 0
        self.refused = 0
        self._netloc = urlsplit(url).netloc
        self._rate = rate
        self._numbers = itertools.count() if limit is None else iter(range(limit))
        self._start = 0.0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(_CONNECTIONS)]

    @property
    def calls(self) -> int:
        return self.accepted + self.refused

    def __enter__(self) -> Self:
        self._start = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def join(self) -> None:
        """Wait until all ``limit`` mails are sent."""
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        chance = random.Random()
        connection = http.client.HTTPConnection(self._netloc, timeout=10)
        while True:
            with self._lock:
                number = next(self._numbers, None)
            if number is None:
                break
            due = self._start + (number + chance.uniform(0, 1)) / self._rate
            if self._over.wait(max(0.0, due - time.monotonic())):
                break
            connection.request("POST", "/v2/email/outbound-emails", _BODY, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            with self._lock:
                if answer.status == http.client.OK:
                    self.accepted += 1
                else:
                    self.refused += 1
        connection.close()
