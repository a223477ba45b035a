"""The demo's mail: a newsletter to everybody in a CSV file, and urgent messages at random times meanwhile."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random

from mailer.errors import SettingsError
from mailer.producer.csv_file import CsvRecipients
from mailer.producer.producer import Producer
from mailer.producer.send_many import SendManyResult

SENDER = "Lantern Books <letters@lantern.example.com>"
URGENT_SENDER = "Lantern Books <accounts@lantern.example.com>"
UNSUBSCRIBE = "https://lantern.example.com/unsubscribe"


@dataclass(frozen=True, slots=True)
class Newsletter:
    """The three example files."""

    csv: Path
    html: Path
    text: Path

    @classmethod
    def shipped(cls) -> Newsletter:
        """The files of the repository or of the package. Raises SettingsError if neither exists."""
        for folder in (Path(__file__).parent / "examples", Path(__file__).parents[2] / "examples"):
            if (folder / "recipients.csv").exists():
                return cls(folder / "recipients.csv", folder / "newsletter.html", folder / "newsletter.txt")
        raise SettingsError("The examples are not here: run the demo in a checkout of the repository, or pass --csv")

    def enqueue(self, producer: Producer, report: Path, most: int | None) -> tuple[SendManyResult, int]:
        """Enqueue a letter to each good row of the first ``most``. Returns the result and the number of bad rows."""
        with CsvRecipients(self.csv, report) as rows:
            sent = producer.send_many(
                islice(rows, most),
                sender=SENDER,
                subject="{{ First_name }}, the {{ Genre }} shelf is new",
                html=self.html.read_text(encoding="utf-8"),
                text=self.text.read_text(encoding="utf-8"),
                lane="bulk",
                list_unsubscribe=UNSUBSCRIBE,
                tags={"campaign": "autumn"},
                on_invalid="skip",
                on_invalid_row=rows.refuse,
            )
            return sent, rows.bad_rows


@dataclass(slots=True)
class Urgent:
    """Sends sign-in codes, one every ``every`` seconds on average, until `stop`."""

    producer: Producer
    every: float
    enqueued: dict[str, float] = field(default_factory=dict)
    """Message id -> time of the call of `mailer.send`, in epoch seconds."""
    _stopped: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _failure: Exception | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="urgent", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop sending. Raises the error that stopped it earlier, if there was one."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        random = Random()
        try:
            while not self._stopped.wait(random.expovariate(1 / self.every)):
                code = f"{random.randrange(1_000_000):06d}"
                called = time.time()
                message_id = self.producer.send(
                    to=f"reader{len(self.enqueued) + 1}@example.com",
                    sender=URGENT_SENDER,
                    subject=f"{code} is your sign-in code",
                    text=f"Your sign-in code is {code}. It is good for ten minutes.",
                )
                self.enqueued[message_id] = called
        except Exception as error:  # noqa: BLE001 - `stop` raises it again
            self._failure = error
