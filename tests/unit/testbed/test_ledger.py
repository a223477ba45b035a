"""The accounts of the mail: nothing lost, doubled or strange stays unseen."""

from __future__ import annotations

from collections import Counter

import pytest

from mailer.simulator.client import Simulator
from mailer.testbed.ledger import Arrivals, Ledger, Places, id_in, look, settle_account
from mailer.testbed.ses import burst, simulated_ses
from mailer.testbed.stats import Quantiles
from tests.support.account import Account, Worker, account, worker

__all__ = ["account", "worker"]


def arrive(ses: Simulator, message_id: str, to: str = "a@example.com") -> None:
    body = {
        "FromEmailAddress": "me@example.com",
        "Destination": {"ToAddresses": [to]},
        "Content": {"Simple": {"Subject": {"Data": "Hi"}, "Body": {"Text": {"Data": "Hi"}}}},
        "EmailTags": [{"Name": "mailer-id", "Value": message_id}],
    }
    ses.request("POST", "/v2/email/outbound-emails", body=body)


def test_what_is_lost_what_came_twice_and_what_nobody_enqueued() -> None:
    ledger = Ledger()
    ledger.accept("bulk", ["one", "two", "held", "lost"])
    ledger.doubt(["perhaps@example.com"])
    with simulated_ses(100, row_tag="mailer-id") as ses:
        arrivals = Arrivals(ses)
        for message_id in ("one", "two", "two"):
            arrive(ses, message_id)
        arrivals.read()
        arrive(ses, "three", "perhaps@example.com")
        arrive(ses, "four")
        arrivals.read()
        assert arrivals.lost(["one", "two", "other"]) == ["other"]
        assert arrivals.doubled() == {"two": 2}
        assert arrivals.throttled() == (0, 5)
        places = Places({"bulk": Counter(["held"]), "dead": Counter(), "held": Counter(["held"])})
        found = settle_account(ledger, arrivals, places)
    assert (found.accepted, found.sent, found.lost, found.twice) == (4, 4, ["lost"], {"bulk": 1})
    assert (found.held, found.held_and_sent, found.waiting, found.in_two_places) == (1, 0, 1, 1)
    assert (found.doubtful, found.doubtful_sent, found.strangers) == (1, 1, 1)


def test_every_place_in_redis_is_looked_at(account: Account, worker: Worker) -> None:
    first, second = account.put("transactional", 2)
    [later] = account.put("bulk", due_in=60)
    [tag] = worker.take(1)
    places = look(account.client, account.keys, ("transactional", "bulk"))
    assert places["transactional"] == {second: 1}
    assert places["leased"] == {first: 1}
    assert places["schedule"] == {later: 1}
    assert (places.waiting, places.in_two_places) == (3, [])
    worker.settle(tag, "dead", "Rejected", "no")
    assert [id_in(value) for value in account.raw(account.keys.aside("dead"))] == [first]


def test_quantiles_are_of_what_was_measured() -> None:
    assert Quantiles.of(map(float, range(100, 0, -1))) == Quantiles(100, 51.0, 91.0, 100.0, 100.0)
    assert Quantiles.of([]) == Quantiles(0, 0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(("rate", "recipients"), [(1, 2.0), (14, 2.0), (200, 20.0)])
def test_a_simulated_ses_forgives_mailers_default_burst(rate: float, recipients: float) -> None:
    assert burst(rate) == recipients


def test_flags_replace_what_a_simulated_ses_usually_has() -> None:
    with simulated_ses(100, rate=5, bucket=3) as ses:
        assert (ses.account()["rate"], ses.account()["bucket"]) == (5, 3)
