"""The load: a producer that keeps both lanes filled during the faults."""

from __future__ import annotations

import itertools
import random
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from mailer.errors import QueueUnavailable
from mailer.producer.producer import Producer
from mailer.testbed.ledger import Ledger

SENDER = "Shop <shop@example.com>"
# Too large to travel in the envelope: it is stored once beside the queue, with a count of references.
_LARGE = "All of this is stored once and shared by the messages that refer to it.\n" * 60
_BATCH = 20


class Load(threading.Thread):
    """Enqueues ``messages``, never far ahead of the workers, and records the result of each call in the ledger.

    Of ten batches about three are urgent, one is scheduled and two share a large content.
    """

    def __init__(
        self, producer: Producer, ledger: Ledger, *, messages: int, rate: float, chance: random.Random, name: str = "u"
    ) -> None:
        super().__init__(name="load", daemon=True)
        self.messages = messages
        self.enqueued = 0
        self._producer = producer
        self._ledger = ledger
        self._rate = rate
        self._chance = chance
        self._name = name
        self._numbers = itertools.count(1)
        self._stopped = threading.Event()

    def run(self) -> None:
        start = time.monotonic()
        while self.enqueued < self.messages and not self._stopped.is_set():
            # Stay a second ahead of the rate. So the producer meets the faults too, and there is always a backlog.
            ahead = self.enqueued - (time.monotonic() - start) * self._rate * 1.02
            if ahead > max(2 * _BATCH, self._rate):
                self._stopped.wait(0.02)
                continue
            self._one_batch(min(_BATCH, self.messages - self.enqueued))

    def stop(self) -> None:
        self._stopped.set()
        if self.is_alive():
            self.join()

    def _one_batch(self, count: int) -> None:
        kind = self._chance.randrange(10)
        lane = "transactional" if kind < 3 else "bulk"
        recipients = [f"{self._name}{next(self._numbers)}@example.com" for _ in range(count)]
        fields: dict[str, Any] = {"sender": SENDER, "subject": "Hello", "lane": lane}
        if kind == 3:
            fields["send_at"] = datetime.now(UTC) + timedelta(seconds=self._chance.uniform(0.5, 2))
        fields["text"] = _LARGE if kind in (4, 5) else "Hello."
        try:
            ids = self._producer.send(to=recipients, **fields)
        except QueueUnavailable as error:
            if error.enqueued is None:
                self._ledger.doubt(recipients)
            else:
                self._ledger.refuse(count)
            self._stopped.wait(0.1)
        else:
            self._ledger.accept(lane, ids)
            self.enqueued += count
