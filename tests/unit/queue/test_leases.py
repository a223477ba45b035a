"""What a process knows of its leases, when answers are lost in either direction."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import pytest

from mailer.queue.bounds import LARGE_BYTES
from mailer.queue.leases import REPEAT_SECONDS, Leases
from mailer.queue.settlement import Settlement
from mailer.queue.take import Answer
from tests.support.account import SENT, Account, Worker
from tests.support.clock import Still

EPOCH_US = 1_700_000_000_000_000


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    @property
    def redis_us(self) -> int:
        """Redis's own, which is right."""
        return EPOCH_US + int(self.now * 1e6)


def answer(clock: Clock, *sizes: int, refused: Iterable[str] = ()) -> Answer:
    """An answer of take, with a message of each of these ``sizes``."""
    messages = [part for size in sizes for part in (b"bulk", b"{}", size)]
    unsettled = [b"full", *(tag.encode() for tag in refused)] if refused else []
    return Answer.read([0, 0, 0, 0, clock.redis_us, b"", unsettled, *messages])


def leases_with(clock: Clock) -> Leases:
    leases = Leases(clock)
    leases.answered(leases.call(0), answer(clock), 60)
    return leases


def handed_back(leases: Leases, clock: Clock) -> int:
    """How many tags the next call hands back; it is answered."""
    call = leases.call(0)
    leases.answered(call, answer(clock), 60)
    return [verdict for _, verdict in call.verdicts].count(Settlement.back())


def test_what_a_lost_answer_brought_is_handed_back_however_long_redis_was_away() -> None:
    clock = Clock()
    leases = leases_with(clock)
    leases.abandon(leases.call(3, within=10))
    clock.now += 600
    assert handed_back(leases, clock) == 3


def test_it_is_handed_back_at_once_and_again_when_the_lost_call_can_take_nothing_more() -> None:
    clock = Clock()
    leases = leases_with(clock)
    leases.abandon(leases.call(3, within=10))
    seen = []
    for _ in range(6):
        seen.append(handed_back(leases, clock))
        clock.now += 4
    assert seen == [3, 0, 0, 3, 0, 0]


def test_mail_that_redis_will_not_hear_is_sent_leaves_no_room_for_more() -> None:
    clock = Clock()
    leases = leases_with(clock)
    tags = leases.answered(leases.call(3), answer(clock, 1, 1, 1), 60)
    for tag, verb in zip(tags, ("sent", "sent", "dead"), strict=True):
        leases.settle(tag, Settlement(verb))
    leases.answered(leases.call(0), answer(clock, refused=tags), 60)
    # Where only the dead letters cannot be written, other mail goes on.
    assert leases.in_flight == 2
    clock.now += REPEAT_SECONDS
    leases.answered(leases.call(0), answer(clock), 60)
    assert leases.in_flight == 0


def test_a_hand_back_whose_own_answer_is_lost_is_repeated() -> None:
    clock = Clock()
    leases = leases_with(clock)
    leases.abandon(leases.call(2))
    leases.abandon(leases.call(0))
    assert handed_back(leases, clock) == 2


def test_a_message_returned_by_a_stop_is_returned_again_until_that_is_answered() -> None:
    clock = Clock()
    leases = leases_with(clock)
    (tag,) = leases.answered(leases.call(1), answer(clock, 1), 60)
    leases.hand_back_unstarted()
    leases.abandon(leases.call(0))
    clock.now += 600
    assert leases.call(0).verdicts == [(tag, Settlement.back())]


def test_messages_go_back_in_the_order_of_taking() -> None:
    clock = Clock()
    leases = leases_with(clock)
    tags = leases.answered(leases.call(3), answer(clock, 1, 1, 1), 60)
    for tag in tags:
        leases.settle(tag, Settlement.back())
    # Each goes to the head of its lane.
    assert [tag for tag, _ in leases.call(0).verdicts] == tags[::-1]


def test_what_has_begun_is_not_handed_back_and_the_first_decision_on_it_stands() -> None:
    clock = Clock()
    leases = leases_with(clock)
    begun, waiting = leases.answered(leases.call(2), answer(clock, 1, 1), 60)
    leases.start(begun)
    leases.hand_back_unstarted()
    assert (leases.holds(begun), leases.holds(waiting)) == (True, False)
    leases.decide(begun, SENT)
    leases.decide(begun, Settlement.back())
    leases.settle(begun, Settlement.forget())
    assert dict(leases.call(0).verdicts) == {begun: SENT, waiting: Settlement.back()}


@pytest.mark.usefixtures("still")
def test_a_call_that_arrives_after_its_time_takes_nothing(account: Account, worker: Worker) -> None:
    worker.take(0)
    account.put("bulk", 3)
    call = worker.leases.call(2, within=-1)
    worker.carry_out(call)
    assert account.client.zcard(account.keys.leases) == 0
    assert account.length("bulk") == 3


def test_a_lost_call_that_is_carried_out_late_keeps_nothing(account: Account, worker: Worker, still: Still) -> None:
    worker.take(0)
    ids = account.put("bulk", 3)
    call = worker.leases.call(2, within=1.2)
    worker.leases.abandon(call)
    worker.take(0)
    worker.carry_out(call)
    assert account.client.zcard(account.keys.leases) == 2
    still.advance(1.25)
    worker.take(0)
    assert account.client.zcard(account.keys.leases) == 0
    assert list(worker.take(3).values()) == ids


def test_two_threads_may_make_calls_while_others_settle() -> None:
    clock = Clock()
    leases = leases_with(clock)
    tags = leases.answered(leases.call(8000), answer(clock, *[1] * 8000), 60)
    errors: list[BaseException] = []
    carried: list[str] = []

    def settle(mine: list[str]) -> None:
        for tag in mine:
            leases.settle(tag, SENT)

    def flush() -> None:
        try:
            for turn in range(3000):
                call = leases.call(turn % 2)
                if turn % 3:
                    leases.answered(call, answer(clock), 60)
                    carried.extend(tag for tag, _ in call.settlements)
                else:
                    leases.abandon(call)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the test's finding
            errors.append(error)

    threads = [threading.Thread(target=settle, args=(tags[i::4],)) for i in range(4)]
    threads += [threading.Thread(target=flush) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    carried += [tag for tag, _ in leases.call(0).settlements]
    while leases.unsettled:
        carried += [tag for tag, _ in leases.call(0).settlements]
    assert errors == []
    assert sorted(carried) == sorted(tags)


def test_what_copies_a_large_message_goes_one_by_one_and_after_a_call_that_asks_for_others() -> None:
    clock = Clock()
    leases = leases_with(clock)

    def next_call(wanted: int, *sizes: int) -> tuple[list[str], list[str]]:
        """What it settles; the tags of what it brings."""
        call = leases.call(wanted)
        tags = leases.answered(call, answer(clock, *sizes), 60)
        return [settlement.verb for _, settlement in call.verdicts], tags

    _, (large, other, sent, small) = next_call(4, LARGE_BYTES + 1, LARGE_BYTES + 1, LARGE_BYTES + 1, 100)
    for tag, verb in ((large, "dead"), (other, "hold"), (sent, "sent"), (small, "dead")):
        leases.settle(tag, Settlement(verb))
    assert next_call(4) == (["sent", "dead"], [])
    assert leases.unsettled
    assert next_call(4) == (["dead"], [])
    assert next_call(4) == ([], [])
    lost = leases.call(0)
    assert [settlement.verb for _, settlement in lost.verdicts] == ["hold"]
    leases.abandon(lost)
    assert [next_call(4)[0] for _ in range(3)] == [[], ["hold"], []]
    assert not leases.unsettled
