"""The run of the demo: from an empty queue to a report."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from mailer.demo import plot, screen
from mailer.demo.figures import Figures
from mailer.demo.mail import Newsletter, Urgent
from mailer.demo.screen import Moment, Screen
from mailer.demo.stage import Stage
from mailer.operations.status import read_status
from mailer.producer.producer import Producer
from mailer.producer.send_many import SendManyResult
from mailer.queue.connection import connect
from mailer.testbed.ledger import Arrivals
from mailer.testbed.process import unwind_on
from mailer.testbed.stats import Quantiles

_LOOK_SECONDS = 0.25
_STUCK_SECONDS = 20.0
_SECOND_COPIES_SECONDS = 1.0
"""A second copy of a message would appear within this time after the last message."""


@dataclass(frozen=True, slots=True)
class Script:
    """The parameters of a run. ``rate`` is the simulated account's rate per second, ``most`` the number of CSV rows to
    read.
    """

    newsletter: Newsletter
    report: Path
    rate: float = 200.0
    latency_ms: float = 40.0
    processes: int = 4
    threads: int = 16
    most: int | None = None
    urgent_every: float = 0.4
    flower: bool = True

    @property
    def bucket(self) -> float:
        """The burst of the simulated account: the sends of a quarter of a second, less than SES forgives. A busy
        machine may suspend the simulator for a moment. The sends of that moment then arrive as one burst.
        """
        return max(2.0, self.rate / 4)


def play(script: Script, console: Console, *, stay: bool = False) -> bool:
    """Run the demo and report. Returns whether every accepted message was sent once and nothing was throttled.

    With ``stay`` everything keeps running after the report, until Ctrl-C. Raises MailerError if it cannot run.
    """
    script.report.mkdir(parents=True, exist_ok=True)
    unwind_on(signal.SIGTERM, signal.SIGHUP)
    with tempfile.TemporaryDirectory(prefix="mailer-demo-", ignore_cleanup_errors=True) as folder:
        stage = Stage(
            Path(folder),
            rate=script.rate,
            bucket=script.bucket,
            latency=f"lognormal:{script.latency_ms:g}ms/0.4",
            processes=script.processes,
            threads=script.threads,
            flower=script.flower,
        )
        starting = console.status(f"Starting Valkey, the SES simulator and {script.processes} worker processes")
        with starting, stage:
            starting.stop()
            figures = _Play(script, stage, console).run()
            if stay:
                _stay(console, stage)
        figures = replace(figures, left_running=len(stage.leftovers()))
        if not figures.good:
            shutil.copy(stage.log, script.report / "demo.log")
    (script.report / "demo.json").write_text(json.dumps(figures.to_json(), indent=2) + "\n", encoding="utf-8")
    console.print(screen.report(figures.lines(), figures.good, _verdict(figures)))
    console.print(f"Plot and figures: {script.report}/demo.svg, demo.png, demo.json")
    return figures.good


class _Play:
    def __init__(self, script: Script, stage: Stage, console: Console) -> None:
        self._script = script
        self._stage = stage
        self._settings = stage.settings
        self._client = connect(self._settings)
        self._arrivals = Arrivals(stage.simulator)
        self._producer = producer = Producer.of(self._settings)
        self._urgent = Urgent(producer, script.urgent_every)
        self._bulk: tuple[SendManyResult, int] | None = None
        self._failure: Exception | None = None
        self._accepted_so_far = 0
        self._began = time.time()
        places = {
            "SES": f"simulated: {script.rate:g} per second allowed, answers after {script.latency_ms:g} ms or so",
            "workers": f"{script.processes} processes of {script.threads} threads",
        }
        if stage.flower_url:
            places["Flower"] = stage.flower_url
        self._screen = Screen(console, places)

    def run(self) -> Figures:
        importing = threading.Thread(target=self._import, name="import", daemon=True)
        with self._screen as shown:
            importing.start()
            self._urgent.start()
            self._watch(shown, importing)
        if self._failure is not None:
            raise self._failure
        figures = self._figures()
        plot.draw(
            self._script.report,
            figures,
            self._arrivals.rows,
            self._urgent.enqueued.keys(),
            self._arrivals.latencies(self._urgent.enqueued),
        )
        self._client.close()
        self._producer.close()
        return figures

    def _import(self) -> None:
        try:
            self._bulk = self._script.newsletter.enqueue(
                self._producer, self._script.report / "bad-rows.csv", self._script.most
            )
        except Exception as error:  # noqa: BLE001 - raised again at the end of the watch
            self._failure = error

    def _watch(self, shown: Screen, importing: threading.Thread) -> None:
        """Show progress until all accepted messages are sent, or nothing moves any more."""
        moved_at, sent = time.monotonic(), 0
        while self._failure is None:
            time.sleep(_LOOK_SECONDS)
            moment = self._look()
            if moment.sent != sent:
                moved_at, sent = time.monotonic(), moment.sent
            if not importing.is_alive() and not moment.account.waiting:
                # The last of the newsletter is on its way: later urgent messages would find an idle account.
                self._urgent.stop()
                moment = self._look()
                if moment.sent >= moment.accepted and not moment.account.in_flight:
                    break
            shown.show(moment)
            if time.monotonic() - moved_at > _STUCK_SECONDS:
                break
        self._urgent.stop()
        time.sleep(_SECOND_COPIES_SECONDS)
        shown.show(self._look(), last=True)

    def _look(self) -> Moment:
        self._arrivals.read()
        now = time.time()
        latencies = self._arrivals.latencies(self._urgent.enqueued)
        account = read_status(self._client, self._settings)
        throttled, _ = self._arrivals.throttled()
        waiting = account.waiting + account.in_flight + account.scheduled
        bulk = len(set(self._bulk[0].ids)) if self._bulk else 0
        return Moment(
            elapsed=now - self._began,
            accepted=bulk + len(self._urgent.enqueued) if self._bulk else len(self._arrivals.rows) + waiting,
            sent=len(self._arrivals.rows),
            rate=self._arrivals.rate(now),
            allowed=self._script.rate,
            throttled=throttled,
            urgent=Quantiles.of(seconds for _, seconds in latencies),
            last_urgent=latencies[-1][1] if latencies else None,
            account=account,
        )

    def _figures(self) -> Figures:
        assert self._bulk is not None  # noqa: S101 - `run` has already raised the error of the import
        sent, bad_rows = self._bulk
        expected = {*sent.ids, *self._urgent.enqueued}
        rows = self._arrivals.rows
        throttled, busiest = self._arrivals.throttled()
        return Figures(
            allowed=self._script.rate,
            achieved=self._arrivals.rate_with_backlog(set(sent.ids)),
            busiest_second=busiest,
            accepted=len(expected),
            sent=len(rows),
            bad_rows=bad_rows,
            duplicates=sent.duplicates,
            lost=len(self._arrivals.lost(expected)),
            doubled=len(self._arrivals.doubled()),
            throttled=throttled,
            seconds=rows[-1].at - rows[0].at if rows else 0.0,
            urgent=Quantiles.of(seconds for _, seconds in self._arrivals.latencies(self._urgent.enqueued)),
        )


def _verdict(figures: Figures) -> str:
    if figures.good:
        return "Everything that was accepted was sent exactly once, and SES never said no."
    wrong = [
        f"{count:,} {what}"
        for count, what in (
            (figures.lost, "lost"),
            (figures.doubled, "doubled"),
            (figures.throttled, "throttled"),
            (figures.left_running, "processes left running"),
        )
        if count
    ]
    return f"Not as promised: {', '.join(wrong)}. The parts' log is beside the report: demo.log"


def _stay(console: Console, stage: Stage) -> None:
    console.print(f"\nStill running, until Ctrl-C: {stage.flower_url or ''} {stage.simulator.url}/")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        console.print()
