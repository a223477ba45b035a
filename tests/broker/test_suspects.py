"""Messages whose worker was lost: one of them may be what ended it, and must not end the next, and the next."""

from __future__ import annotations

from tests.broker.conftest import SENT, Account, Worker


def lose(account: Account, count: int) -> list[str]:
    """A worker takes so many and is never heard of again."""
    Worker(account).take(0)
    taken = list(Worker(account).take(count).values())
    account.end_leases()
    return taken


def test_a_worker_has_one_suspect_at_a_time_beside_other_messages(account: Account, worker: Worker) -> None:
    suspects = account.put("transactional", 3)
    assert lose(account, 3) == suspects
    others = account.put("transactional", 4)
    tags = worker.take(3)
    assert list(tags.values()) == [suspects[0], *others[:2]]
    assert list(worker.take(2).values()) == others[2:]
    worker.settle(next(iter(tags)), "sent")
    assert list(worker.take(2).values()) == [suspects[1]]
    # Another worker has another.
    assert list(Worker(account).take(2).values()) == [suspects[2]]


def test_settling_a_suspect_is_a_reason_to_ask_for_the_next(account: Account, worker: Worker) -> None:
    account.put("transactional", 2)
    lose(account, 2)
    (tag,) = worker.take(2)
    assert not worker.leases.makes_room
    worker.leases.settle(tag, SENT)
    assert worker.leases.makes_room


def test_those_passed_over_keep_their_order_and_their_place(account: Account, worker: Worker) -> None:
    suspects = account.put("transactional", 5)
    lose(account, 5)
    others = account.put("transactional", 2)
    worker.take(3)
    assert account.whereabouts()[:4] == list(reversed(suspects[1:]))
    assert set(account.whereabouts()[4:]) == {suspects[0], *others}


def test_what_two_workers_in_a_row_did_not_survive_is_held_with_its_bytes(account: Account, worker: Worker) -> None:
    (poison,) = account.put("transactional", 1)
    before = account.client.lindex(account.keys.lane("transactional"), 0)
    lose(account, 1)
    assert lose(account, 1) == [poison]
    assert worker.take(1) == {}
    assert account.aside("held")[poison]["code"] == "WorkerLostTwice"
    stored = account.client.hget(account.keys.aside("held"), poison)
    assert stored is not None
    assert before is not None
    assert stored.split(b"\n", 1)[1].replace(b'"mailer_lost":1,', b"") == before


def test_those_lost_along_with_it_are_sent(account: Account, worker: Worker) -> None:
    ids = account.put("transactional", 8)
    poison = ids[3]
    losses = 0
    sent: set[str] = set()
    # Whoever is handed the poison is lost with all that it holds.
    while not account.aside("held"):
        victim = Worker(account)
        while tags := victim.take(8):
            if poison in tags.values():
                losses += 1
                account.end_leases()
                break
            for tag, message_id in tags.items():
                victim.settle(tag, "sent")
                sent.add(message_id)
        worker.take(0)
    assert losses == 2
    while tags := worker.take(8):
        for tag, message_id in tags.items():
            worker.settle(tag, "sent")
            sent.add(message_id)
    assert sent == set(ids) - {poison}
    assert list(account.aside("held")) == [poison]


def test_bytes_that_are_no_json_stay_as_they_are(account: Account, worker: Worker) -> None:
    lane = account.keys.lane("transactional")
    account.client.lpush(lane, b"\xff\xfe")
    slow = Worker(account)
    call = slow.leases.call(1)
    account.client.execute_command(
        *slow._take.command(slow._take.arguments(slow.leases, call, ("transactional",)), by_text=True)
    )
    account.end_leases()
    worker.take(0)
    assert account.client.lrange(lane, 0, -1) == [b"\xff\xfe"]


def test_many_suspects_do_not_keep_the_rest_from_being_sent(account: Account, worker: Worker) -> None:
    account.put("transactional", 60)
    lose(account, 60)
    others = account.put("transactional", 5)
    worker.take(1)
    assert list(worker.take(5).values()) == others
