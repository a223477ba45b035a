"""An account that SES has stopped: nothing is lost, SES is hardly asked, and sending goes on by itself.

Real workers and the real simulator; the hours in between pass by making what Redis remembers older.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from mailer.operations.status import read_status
from mailer.settings import load
from mailer.simulator.client import Simulator
from mailer.testbed.valkey import Valkey
from mailer.testbed.waiting import until
from ops.soak.passage import pass_time
from tests.support.post import PATIENT, Post

MESSAGES = 12


@dataclass(frozen=True)
class Reason:
    """A way of SES to refuse everything, how it ends, and whether GetAccount knows of it."""

    begin: Callable[[Simulator], object]
    end: Callable[[Simulator], object]
    words: str
    getaccount_knows: bool = False


def faulty(error: str, words: str) -> Reason:
    return Reason(lambda ses: ses.add_fault("error", error=error, operation=None), Simulator.clear_faults, words)


REASONS = {
    "paused": Reason(
        lambda ses: ses.set_account(sending_enabled=False),
        lambda ses: ses.set_account(sending_enabled=True),
        "paused",
        getaccount_knows=True,
    ),
    "suspended": Reason(
        lambda ses: ses.set_account(enforcement="SHUTDOWN"),
        lambda ses: ses.set_account(enforcement="HEALTHY"),
        "permanently restricted",
        getaccount_knows=True,
    ),
    "mail-from": faulty("mail-from", "verified"),
}


@pytest.fixture(scope="module")
def stopped(valkey: Valkey, simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Post]:
    """An account whose limits come from SES, and two workers for it."""
    folder = tmp_path_factory.mktemp("stops")
    opened = Post(load(redis_url=valkey.url, account=folder.name, data_dir=folder, **PATIENT), simulator, folder)
    opened.worker(wait=False)
    opened.worker(wait=False)
    for worker in opened.workers:
        worker.wait_until_ready()
    until(lambda: opened.client.hget(opened.keys.account, "rate"), "the limits are known")
    yield opened
    opened.close()


def let_pass(post: Post, minutes: int) -> None:
    until(lambda: pass_time(post.client, post.keys, minutes), "nothing is in flight")


def calls(simulator: Simulator, operation: str) -> int:
    """How often SES was asked, whatever it answered."""
    return sum(count for name, count in simulator.stats()["requests"].items() if operation in name)


@pytest.mark.parametrize("name", REASONS)
def test_it_stops_once_loses_nothing_asks_little_and_goes_on_by_itself(
    stopped: Post, simulator: Simulator, name: str
) -> None:
    reason = REASONS[name]
    simulator.reset()
    reason.begin(simulator)
    for number in range(MESSAGES):
        stopped.send(f"{number}@example.com")
    until(lambda: stopped.client.hget(stopped.keys.account, "stopped"), "the account stops")
    until(lambda: stopped.client.llen(stopped.keys.lane("transactional")) == MESSAGES, "all mail is back in its lane")
    said = read_status(stopped.client, stopped.settings)
    assert said.state == "stopped"
    assert reason.words in str(said.reason)

    if reason.getaccount_knows:
        until(lambda: stopped.client.hget(stopped.keys.account, "ses_allows") == b"0", "GetAccount says so too")
    known, asked = calls(simulator, "SendEmail"), calls(simulator, "GetAccount")
    assert known <= MESSAGES

    waits = (1, 1) if reason.getaccount_knows else (1, 2)
    operation, count = ("GetAccount", asked) if reason.getaccount_knows else ("SendEmail", known)
    for number, minutes in enumerate(waits, start=1):
        let_pass(stopped, minutes)
        until(lambda n=number: calls(simulator, operation) >= count + n, "SES is asked once more")  # type: ignore[misc]
        if reason.getaccount_knows:
            until(lambda: not stopped.client.hexists(stopped.keys.account, "refreshing"), "its answer is written down")
    until(lambda: not stopped.client.zcard(stopped.keys.leases), "the last probe is back")
    assert calls(simulator, "SendEmail") == known + (0 if reason.getaccount_knows else len(waits))
    # Once when it stopped, which may not have been counted yet, and at most once a minute since.
    assert calls(simulator, "GetAccount") <= asked + 1 + len(waits)
    assert stopped.client.llen(stopped.keys.lane("transactional")) == MESSAGES
    assert stopped.arrivals() == []

    reason.end(simulator)
    let_pass(stopped, 4)
    until(lambda: len(stopped.arrivals()) == MESSAGES and stopped.idle(), "all mail is sent")
    assert sorted(stopped.arrivals()) == sorted(f"{number}@example.com" for number in range(MESSAGES))
    assert read_status(stopped.client, stopped.settings).state == "sending"
    assert (stopped.aside("dead"), stopped.aside("held")) == ({}, {})
