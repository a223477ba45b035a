"""Messages whose worker was lost: one of them may be what ended it, and must not end the next, and the next."""

from __future__ import annotations

from mailer.operations.status import read_status
from mailer.queue.move import purge
from mailer.queue.search import Whereabouts
from tests.support.account import LANES, SENT, Account, Worker, envelope
from tests.support.clock import Still


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
    (before,) = account.raw(account.keys.lane("transactional"))
    lose(account, 1)
    assert lose(account, 1) == [poison]
    assert worker.take(1) == {}
    assert account.aside("held")[poison]["code"] == "WorkerLostTwice"
    (stored,) = account.raw(account.keys.aside("held"))
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
    slow.carry_out(call)
    account.end_leases()
    worker.take(0)
    assert account.client.lrange(lane, 0, -1) == [b"\xff\xfe"]


def test_fresh_mail_gets_the_very_next_permit_however_many_suspects_wait(account: Account, still: Still) -> None:
    ids = account.put("transactional", 200)
    lose(account, 200)
    back = Worker(account)
    back.take(0)
    for _ in range(4):  # so many calls it takes to reclaim them
        back.take(0)
    account.allow(rate=10, burst=1)
    for _ in range(20):
        # A suspect goes with every permit that nobody else wants.
        while not (tags := back.take(1)):
            still.advance(0.01)
        assert set(tags.values()) <= set(ids)
        (tag,) = tags
        back.settle(tag, "sent")
        (fresh,) = account.put("transactional")
        start = still.us
        while not (tags := back.take(1)):
            still.advance(0.01)
        assert list(tags.values()) == [fresh]
        assert still.us - start <= 110_000
        (tag,) = tags
        back.settle(tag, "sent")


def test_a_lane_that_is_never_empty_leaves_suspects_every_other_permit(account: Account, worker: Worker) -> None:
    suspects = account.put("transactional", 4)
    lose(account, 4)
    worker.take(0)
    others = account.put("transactional", 4)
    taken = []
    for _ in range(8):
        ((tag, message_id),) = worker.take(1).items()
        worker.settle(tag, "sent")
        taken.append(message_id)
    assert taken == [each for pair in zip(others, suspects, strict=True) for each in pair]


def test_many_suspects_do_not_keep_the_rest_from_being_sent(account: Account, worker: Worker) -> None:
    account.put("transactional", 200)
    lose(account, 200)
    others = account.put("transactional", 100)
    for _ in range(5):
        assert len(worker.take(1)) == 1
    rest = worker.take(100)
    assert set(others) <= {*account.whereabouts_of(account.keys.leased)}
    assert len(rest) == 96


def test_what_a_worker_sends_back_is_the_next_suspect_and_still_marked(account: Account, worker: Worker) -> None:
    ids = account.put("transactional", 3)
    lose(account, 3)
    for verb in ("back", "throttled", "unfit"):
        (tag,) = worker.take(1)
        worker.settle(tag, verb, "host", "no")
        assert account.whereabouts_of(account.keys.suspects("transactional")) == ids[::-1]
    assert lose(account, 1) == ids[:1]
    worker.take(0)
    assert list(account.aside("held")) == ids[:1]


def test_those_of_one_loss_keep_their_order_however_many_calls_reclaim_them(account: Account, worker: Worker) -> None:
    ids = account.put("transactional", 150)
    slow = Worker(account)
    for _ in range(30):
        slow.take(5)
    account.end_leases()
    for _ in range(3):
        worker.take(0)
    assert account.whereabouts_of(account.keys.suspects("transactional")) == ids[::-1]


def test_a_suspect_that_lies_in_the_lane_itself_goes_to_the_others(account: Account, worker: Worker) -> None:
    ids = account.put("transactional", 3)
    lane, suspects = account.keys.lane("transactional"), account.keys.suspects("transactional")
    raw: list[bytes] = account.client.lrange(lane, 0, -1)  # type: ignore[assignment]
    account.client.delete(lane)
    for marked, each in zip((False, True, True), raw, strict=True):
        account.client.rpush(lane, b'{"mailer_lost":1,' + each[1:] if marked else each)
    taken: list[str] = []
    for _ in range(3):
        taken += worker.take(8).values()
    assert sorted(taken) == sorted([ids[0], ids[2]])
    assert account.whereabouts_of(suspects) == [ids[1]]
    assert account.length("transactional") == 1


def test_one_that_is_resent_later_waits_among_suspects_when_it_is_due(account: Account, worker: Worker) -> None:
    (first,) = account.put("transactional", 1)
    (tag,) = worker.take(1)
    worker.settle(tag, "resend", 60_000_000, '{"mailer_lost":1,' + envelope(first).decode()[1:])
    account.make_due()
    worker.take(0)
    assert account.whereabouts_of(account.keys.suspects("transactional")) == [first]


def test_people_see_them_in_their_lane(account: Account, worker: Worker) -> None:
    ids = account.put("transactional", 3)
    lose(account, 2)
    worker.take(0)
    status = read_status(account.client, account.settings)
    assert [(lane.waiting, lane.suspects) for lane in status.lanes] == [(3, 2), (0, 0)]
    for message_id in ids:
        found = Whereabouts(account.client, account.keys, LANES).of(message_id)
        assert found is not None
        assert (found.place, found.lane) == ("waiting", "transactional")


def test_what_is_purged_takes_its_suspects_along(account: Account, worker: Worker) -> None:
    account.put("transactional", 4)
    lose(account, 2)
    worker.take(0)
    assert purge(account.client, account.keys, "transactional") == 4
    assert account.whereabouts() == []
