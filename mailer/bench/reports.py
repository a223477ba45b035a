"""The reports of a worker process under measurement: one file per process, a line of JSON a few times a second."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = "MAILER_BENCH_REPORTS"
"""The environment variable with the folder of these files."""


@dataclass(frozen=True, slots=True)
class Line:
    """One report. Times are seconds: ``at`` on the wall clock, ``cpu`` the process's processor time so far.

    ``round_trips`` are those that ended since the previous report. ``failures`` are the names of the errors among them.
    """

    at: float
    cpu: float
    round_trips: Sequence[float]
    failures: Sequence[str]


class Reporter:
    """The worker's side: it writes the lines."""

    def __init__(self) -> None:
        self._file = (Path(os.environ[FOLDER]) / f"{os.getpid()}.jsonl").open("w", encoding="utf-8", buffering=1)
        self._round_trips: list[float] = []
        self._failures: list[str] = []

    def note(self, seconds: float, failure: str | None) -> None:
        self._round_trips.append(round(seconds, 6))
        if failure is not None:
            self._failures.append(failure)

    def write(self) -> None:
        """Write the next line."""
        round_trips, self._round_trips = self._round_trips, []
        failures, self._failures = self._failures, []
        self._file.write(json.dumps([time.time(), time.process_time(), round_trips, failures]) + "\n")


def read(folder: Path) -> list[list[Line]]:
    """The lines so far of each process that reports into ``folder``."""
    found = []
    for file in sorted(folder.glob("*.jsonl")):
        # The last line may be incomplete.
        lines = file.read_text(encoding="utf-8").split("\n")[:-1]
        found.append([Line(*json.loads(line)) for line in lines])
    return found
