"""A trial: one fault under load, from the first message to the account of all messages."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import redis
from rich.progress import Progress

from mailer.operations.status import AccountStatus, read_status
from mailer.testbed.ledger import Arrivals, Ledger, reasons, settle_account
from ops.bench.figure import Verdict
from ops.soak.load import SENDER, Load
from ops.soak.report import Report
from ops.soak.stage import Set, Stage, stage

# The longest time that messages may take to come to rest after the fault is over.
_REST_SECONDS = 120.0
_BATCH = 500
# The longest time until all workers together hold as many messages as they can.
_ROOM_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a trial: the messages, and the number of pulls. A pull is one break."""

    messages: int
    times: int
    pause: float | None = None
    """Seconds between two pulls. None spreads the pulls over the load."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault. ``run`` causes it. The trial around it supplies the load and does the accounts."""

    name: str
    what: str
    run: Callable[[Trial], None]
    long: Size
    short: Size
    set: Set = field(default_factory=Set)
    needs: Callable[[], str] = lambda: ""
    """The reason why this machine cannot run the fault; empty if it can."""


class Trial:
    """The tools of a fault: the stage, the load, a random source and the report."""

    def __init__(self, stage: Stage, size: Size, chance: random.Random, report: Report) -> None:
        self.stage = stage
        self.size = size
        self.chance = chance
        self.report = report
        self.ledger = Ledger()
        self.load = self._load(size.messages)
        self.losses_allowed = 0
        self.resends_allowed = 0
        self.bulk_resends_allowed = 0
        self.holds_allowed = 0
        # A machine that is busy with starting workers delays sends that already have permits. They arrive in bunches.
        self.throttled_allowed = size.messages // 500
        self._doubled_places: set[str] = set()

    def _load(self, messages: int) -> Load:
        return Load(
            *(self.stage.producer(), self.ledger),
            messages=messages,
            rate=self.stage.wanted.rate,
            chance=self.chance,
        )

    # -- for faults

    def pull(self) -> None:
        """Count a pull, and check whether any message is in two places at this instant."""
        self.report.pulls += 1
        # The fault may have stopped Redis.
        with suppress(redis.exceptions.ConnectionError):
            self._doubled_places.update(self.stage.look().in_two_places)

    def each_pull(self) -> float:
        """Seconds between two pulls."""
        if self.size.pause is not None:
            return self.size.pause
        return 0.9 * self.size.messages / self.stage.wanted.rate / (self.size.times + 1)

    def pulls(self) -> range:
        """The numbers of the pulls. Returns once the first mail has arrived."""
        self.stage.until(lambda: self.stage.sent() > 0, "the first mail arrives")
        return range(self.size.times)

    def pause(self, seconds: float | None = None) -> None:
        """Wait for the next pull, for a random time around the average."""
        time.sleep((self.each_pull() if seconds is None else seconds) * self.chance.uniform(0.6, 1.4))

    def expect(self, what: str, measured: float, target: float, unit: str = "", *, at_most: bool = True) -> None:
        self.report.verdicts.append(Verdict(what, measured, target, unit, at_most))

    def note(self, text: str) -> None:
        self.report.notes.append(text)

    def allow_what_was_in_flight(self, when: str) -> None:
        """Allow for the messages that lost workers held: SES may have them, and their lane resends or holds them."""
        self.resends_allowed = self.holds_allowed = len(self.stage.orphans)
        self.note(f"{len(self.stage.orphans)} messages were in flight at the {when}")

    def status(self) -> AccountStatus:
        """The account, as `mailer status` shows it."""
        with self.stage.client() as client:
            return read_status(client, self.stage.settings)

    def until_mail_flows(self, seconds: float = 60.0) -> float:
        """Wait until SES accepts another mail or the load has ended. Returns the seconds."""
        sent = self.stage.sent()
        return self.stage.until(
            lambda: self.stage.sent() > sent or not self.load.is_alive(), "mail flows again", seconds
        )

    def enqueue(self, name: str, messages: int, lane: str = "") -> None:
        """Enqueue so many at once, beside the load: to name0, name1 and so on, in the lane that is least urgent."""
        lane = lane or self.stage.settings.lanes.least_urgent
        with self.stage.producer() as producer:
            for first in range(0, messages, _BATCH):
                to = [f"{name}{number}@example.com" for number in range(first, min(messages, first + _BATCH))]
                sent = producer.send(to=to, sender=SENDER, subject="Hello", text="Hello.", lane=lane)
                self.ledger.accept(lane, sent)

    def enough(self) -> None:
        """End the load, after a fault that has lasted long enough."""
        self.load.stop()

    def expect_all_room(self) -> None:
        """Expect that every worker can still hold as many messages as at its start, when all messages are at rest."""
        self.enough()
        self.rest()
        stage = self.stage
        room = len(stage.workers) * stage.wanted.concurrency
        stage.simulator.set_latency("1s")
        lane = stage.settings.lanes[0]
        to = [f"room{number}@example.com" for number in range(2 * room)]
        most, deadline = 0, time.monotonic() + _ROOM_SECONDS
        with stage.client() as client, stage.producer() as producer:
            while most < room and time.monotonic() < deadline:
                if not client.llen(stage.keys.lane(lane)):
                    sent = producer.send(to=to, sender=SENDER, subject="Hello", text="Hello.", lane=lane)
                    self.ledger.accept(lane, sent)
                most = max(most, int(client.zcard(stage.keys.leases)))
                time.sleep(0.01)
        self.expect("room of the workers that is gone", room - most, 0)
        stage.simulator.set_latency(stage.wanted.latency)

    # -- the accounts

    def rest(self) -> None:
        """Wait until every message has come to rest."""
        self.stage.until(lambda: not self.load.is_alive(), "everything is enqueued", _REST_SECONDS + self.size.messages)
        backlog = self.stage.look().waiting / self.stage.wanted.rate
        self.stage.until(self._at_rest, "every message has come to rest", _REST_SECONDS + 3 * backlog)

    def _at_rest(self) -> bool:
        return self.stage.look().waiting == 0

    def settle(self) -> None:
        """Do the accounts, and compare them with the promises for every fault."""
        self._allow_for_standstills()
        places = self.stage.look()
        account = self.report.account = settle_account(self.ledger, Arrivals(self.stage.simulator), places)
        self._doubled_places.update(places.in_two_places)
        self.expect("lost", len(account.lost), self.losses_allowed)
        self.expect("still on their way", account.waiting, 0)
        self.expect("in two places of Redis", len(self._doubled_places), 0)
        self.expect("sent twice where the lane holds", account.twice.get("bulk", 0), self.bulk_resends_allowed)
        self.expect("sent twice where the lane resends", account.twice.get("transactional", 0), self.resends_allowed)
        self.expect("sent that nobody enqueued", account.strangers, 0)
        self.expect("held", account.held, self.holds_allowed)
        self.expect("dead letters", account.dead, 0)
        self.expect("refused by SES for the rate", self.stage.throttled(), self.throttled_allowed)
        with self.stage.client() as client:
            aside = reasons(client, self.stage.keys)
            if aside:
                self.note(f"set aside: {dict(aside)}")
            if not places.total:
                self.expect("contents left behind", int(client.hlen(self.stage.keys.references)), 0)

    def _allow_for_standstills(self) -> None:
        """Allow for standstills of the simulator: messages in flight got no answer in time, and reached it together."""
        wanted, times = self.stage.wanted, self.stage.watch.count
        if not times:
            return
        in_flight = times * wanted.workers * wanted.concurrency
        self.resends_allowed += in_flight
        self.holds_allowed += in_flight
        self.throttled_allowed += in_flight
        self.note(f"the simulator stood still {times} times: {in_flight} messages may have been in flight")


def carry_out(fault: Fault, size: Size, seed: int, progress: Progress | None = None) -> Report:
    """Run one trial and return its report. The report includes an error of the trial."""
    report = Report(fault.name, fault.what, seed)
    missing = fault.needs()
    if missing:
        report.skipped = missing
        return report
    start = time.monotonic()
    chance = random.Random(seed)
    with stage(fault.set, seed) as found:
        trial = Trial(found, size, chance, report)
        with _shown(progress, trial):
            try:
                found.start_workers()
                trial.load.start()
                fault.run(trial)
                trial.rest()
            except Exception as error:  # noqa: BLE001 - the accounts follow after any error
                report.error = f"{type(error).__name__}: {error}"
            finally:
                trial.load.stop()
            try:
                trial.settle()
            except Exception as error:  # noqa: BLE001
                report.error = report.error or f"{type(error).__name__}: {error}"
    report.seconds = time.monotonic() - start
    return report


@contextmanager
def _shown(progress: Progress | None, trial: Trial) -> Iterator[None]:
    """Show a trial's progress while the block runs."""
    if progress is None:
        yield
        return
    report, size, over = trial.report, trial.size, threading.Event()
    bar = progress.add_task(report.fault, total=size.messages, pulls="")

    def follow() -> None:
        while not over.wait(0.5):
            progress.update(bar, completed=trial.stage.sent(), pulls=f"{report.pulls} of {size.times} pulls")

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        progress.remove_task(bar)
