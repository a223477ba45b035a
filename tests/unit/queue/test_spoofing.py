"""What a producer may write, made to look like somebody else's: it takes nothing from them."""

from __future__ import annotations

import pytest

from mailer.queue.queue import Entry
from mailer.queue.records import Records, note
from mailer.queue.status import foreign_keys
from tests.support.account import LANES, Account, Worker, envelope


def told(message_id: str, answer: str) -> str:
    return note(message_id, "bulk", None, 0, 1, None, answer)


def test_a_message_with_another_s_id_settles_its_own_lease_alone(account: Account, worker: Worker) -> None:
    account.queue.put("bulk", [Entry("victim", envelope("victim")), Entry("victim", envelope("victim", retries=7))])
    first, second = worker.take(2)
    worker.settle(second, "dead", "Forged", "It was not this one.", told("victim", "Forged"))
    assert account.whereabouts_of(account.keys.leased) == ["victim"]
    worker.settle(first, "sent", note=told("victim", "ses-id"))
    assert account.whereabouts() == ["victim"]
    # The record tells of both.
    lines = Records(account.client, account.keys).of("victim")
    assert [(line.verb, line.answer) for line in lines] == [("dead", "Forged"), ("sent", "ses-id")]


def test_no_name_of_a_dead_letter_takes_another_s_place(account: Account, worker: Worker) -> None:
    # A second one of an id is called id~tag: somebody may use that for an id.
    account.queue.put("bulk", [Entry("victim", envelope("victim")), Entry("victim", envelope("victim"))])
    tags = list(worker.take(2))
    for tag in tags:
        worker.settle(tag, "dead", "MessageRejected", "No.")
    forged = f"victim~{tags[1]}"
    account.queue.put("bulk", [Entry(forged, envelope(forged))])
    (tag,) = worker.take(1)
    worker.settle(tag, "dead", "Forged", "No.")
    assert sorted(account.whereabouts()) == ["victim", "victim", forged]
    codes = [reason["code"] for reason in account.aside("dead").values()]
    assert sorted(map(str, codes)) == ["Forged", "MessageRejected", "MessageRejected"]


def test_stored_content_is_not_replaced_under_its_hash(account: Account) -> None:
    account.put("bulk", 1, content=("ab12", b"the body"))
    account.put("bulk", 1, content=("ab12", b"a forgery"))
    assert account.queue.content("ab12") == b"the body"


@pytest.mark.parametrize("lane", ["@account", "account", "}@leases", "{x}:bulk", "bulk\x06\x163", "@doorbell:bulk"])
@pytest.mark.parametrize("mark", ["", '"mailer_lost":1,'])
def test_a_lane_that_is_written_into_the_schedule_spells_no_control_key(
    account: Account, worker: Worker, lane: str, mark: str
) -> None:
    before = account.raw(account.keys.wishes)
    forged = b"{" + mark.encode() + envelope("forged")[1:]
    account.client.zadd(account.keys.schedule, {b"000000000000001\n" + lane.encode() + b"\n" + forged: "-inf"})
    [sound] = account.put("bulk", due_in=-1)
    assert sound in worker.take(10).values()
    assert account.client.zcard(account.keys.schedule) == 0
    assert foreign_keys(account.client, account.keys, LANES) == []
    assert account.raw(account.keys.wishes) == before
