"""Redis's clock put back or forward, as a failover does it: everything comes in its usual time all the same.

The Lua is the real one; its clock stands still but where moved, and the workers' monotonic one goes on by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mailer.queue.records import Records
from mailer.queue.settlement import Settlement
from mailer.queue.shelf import Filter, Shelf
from tests.support.account import LANES, SENT, Account, Worker, envelope
from tests.support.clock import Still

pytestmark = pytest.mark.usefixtures("still")

HOUR, DAY = 3600.0, 86_400.0
STEPS = pytest.mark.parametrize("step", [-20.0, -HOUR, -DAY, DAY])
BACK = pytest.mark.parametrize("step", [-HOUR, -DAY])
LEASE = 60.0


def pass_by(still: Still, worker: Worker, seconds: float, wanted: int = 0) -> Iterator[float]:
    """So much time passes, in which the worker asks as often as one that is idle at the least; how much has passed."""
    passed = 0.0
    while passed < seconds:
        still.advance(LEASE / 8)
        passed += LEASE / 8
        worker.take(wanted)
        yield passed


@STEPS
def test_what_lost_workers_held_is_reclaimed_within_two_leases(
    account: Account, worker: Worker, still: Still, step: float
) -> None:
    (held,), (lost,) = account.put("bulk"), account.put("transactional")
    worker.take(0)
    Worker(account).take(2)
    still.advance(1)
    worker.take(0)
    still.step(step)
    for _ in pass_by(still, worker, 2 * LEASE):
        pass
    assert list(account.aside("held")) == [held]
    assert list(worker.take(2).values()) == [lost]


@STEPS
def test_workers_that_live_keep_what_they_hold_for_as_long_as_they_were_told(
    account: Account, still: Still, step: float
) -> None:
    account.put("bulk", 2)
    sender, other = Worker(account), Worker(account)
    other.take(0)
    (first,), (last,) = sender.take(1), sender.take(1)
    still.step(step)
    other.take(0)
    sender.settle(first, "sent")
    for _ in pass_by(still, other, LEASE - LEASE / 8):
        pass
    sender.settle(last, "sent")
    assert account.whereabouts() == []


@pytest.mark.parametrize("step", [-20.0, -45.0, -HOUR, -DAY, DAY])
def test_a_clock_put_back_over_a_silence_of_redis_hides_none_of_it(account: Account, still: Still, step: float) -> None:
    sender, other = Worker(account), Worker(account)
    account.put("bulk", 1)
    for each in (sender, other):
        each.take(0)
    still.advance(1)
    (tag,) = sender.take(1)
    other.take(0)
    # Redis is away for longer than the lease, and who comes back first is not who holds the message.
    still.advance(LEASE + 15)
    still.step(step)
    other.take(0)
    still.advance(1)
    other.take(0)
    sender.settle(tag, "sent")
    assert account.whereabouts() == []
    assert account.aside("held") == {}


@BACK
def test_a_silence_after_the_clock_was_put_back_is_noticed(account: Account, still: Still, step: float) -> None:
    sender, other = Worker(account), Worker(account)
    for each in (sender, other):
        each.take(0)
    still.step(step)
    for _ in pass_by(still, other, 2 * LEASE):
        sender.take(0)
    account.put("bulk", 1)
    (tag,) = sender.take(1)
    still.advance(3 * LEASE)
    other.take(0)
    sender.settle(tag, "sent")
    assert account.whereabouts() == []


@BACK
def test_leases_keep_their_order(account: Account, worker: Worker, still: Still, step: float) -> None:
    ids = account.put("transactional", 4)
    lost = Worker(account)
    for _ in ids:
        lost.take(1)
        still.advance(1)
    worker.take(0)
    still.step(step)
    for _ in pass_by(still, worker, 2 * LEASE):
        pass
    returned = []
    while taken := worker.take(4):
        ((tag, message_id),) = taken.items()
        returned.append(message_id)
        worker.settle(tag, "sent")
    assert returned == ids


def _be_refused(worker: Worker, still: Still) -> None:
    """For as long as it takes to cut the rate of 10 a second."""
    for _ in range(40):
        (tag,) = worker.take(1)
        still.advance(0.1)
        worker.settle(tag, "throttled")


@STEPS
def test_a_cut_rate_recovers_in_its_usual_time(account: Account, worker: Worker, still: Still, step: float) -> None:
    account.allow(rate=10, burst=1000)
    account.put("bulk", 200)
    _be_refused(worker, still)
    assert float(account.field("cut") or 1) < 1
    still.step(step)
    worker.take(0)
    for _ in pass_by(still, worker, 30):
        pass
    account.put("bulk", 1)
    worker.take(1)
    assert worker.answer is not None
    # The bucket's slack is told in permits: it is the whole rate's.
    assert worker.answer.good_seconds == pytest.approx(999 / 2 / 10, abs=0.1)


@STEPS
def test_refusals_are_still_counted_and_cut_the_rate(
    account: Account, worker: Worker, still: Still, step: float
) -> None:
    account.allow(rate=10, burst=1000)
    account.put("bulk", 200)
    (tag,) = worker.take(1)
    worker.settle(tag, "throttled")
    still.step(step)
    worker.take(0)
    still.advance(1)
    _be_refused(worker, still)
    assert float(account.field("cut") or 1) < 1


@STEPS
def test_permits_come_as_fast_as_before(account: Account, worker: Worker, still: Still, step: float) -> None:
    account.allow(rate=1, burst=1)
    account.put("bulk", 30)
    while worker.take(8):
        pass
    for _ in range(4):
        Worker(account).take(8)
    still.step(step)
    taken = 0
    for _ in pass_by(still, worker, 30, wanted=8):
        taken += worker.leases.in_flight - taken
    assert taken >= 4


@STEPS
@pytest.mark.parametrize("refusals", [1, 3])
def test_a_stopped_account_is_probed_in_its_usual_time(
    account: Account, worker: Worker, still: Still, step: float, refusals: int
) -> None:
    account.put("transactional", 2)
    (tag,) = worker.take(1)
    worker.settle(tag, "stop", "AccountSuspendedException", "Ask AWS.")
    for refused in range(1, refusals):
        still.advance(61 * 2**refused)
        (tag,) = worker.take(1)
        worker.settle(tag, "stop", "AccountSuspendedException", "Ask AWS.")
    wait = 60 * 2 ** (refusals - 1)
    still.step(step)
    for _ in pass_by(still, worker, wait + 1, wanted=1):
        if worker.leases.in_flight:
            return
    assert worker.leases.in_flight == 1


@STEPS
def test_what_getaccount_said_is_believed_no_longer_than_usual(
    account: Account, worker: Worker, still: Still, step: float
) -> None:
    account.put("transactional", 2)
    (tag,) = worker.take(1)
    worker.settle(tag, "stop", "AccountSuspendedException", "Ask AWS.")
    account.allow(rate=1000, burst=100, sent=0, allows=False)
    worker.take(0)
    still.step(step)
    for _ in pass_by(still, worker, 301, wanted=1):
        pass
    assert worker.leases.in_flight >= 1


@STEPS
def test_the_limits_are_asked_for_in_their_usual_time(
    account: Account, worker: Worker, still: Still, step: float
) -> None:
    account.put("bulk", 1)
    (tag,) = worker.take(1)
    worker.settle(tag, "stop", "AccountSuspendedException", "Ask AWS.")
    still.advance(61)
    worker.take(0)
    assert worker.answer is not None
    assert worker.answer.refresh_limits
    still.step(step)
    told = 0
    for _ in pass_by(still, worker, 121):
        told += worker.answer.refresh_limits
    assert told in (1, 2, 3)


@STEPS
def test_what_a_refusal_taught_of_others_is_forgotten_in_its_usual_time(
    account: Account, worker: Worker, still: Still, step: float
) -> None:
    account.allow(rate=1000, burst=100, quota=10, quota_reserve=0)
    account.put("bulk", 2)
    (tag,) = worker.take(1)
    worker.settle(tag, "over_quota", "LimitExceededException", "Daily message quota exceeded.")
    assert worker.take(1) == {}
    still.step(step)
    worker.take(0)
    # GetAccount counts nothing of it, and nobody sends: five minutes later that is believed.
    still.advance(301)
    account.allow(rate=1000, burst=100, quota=10, quota_reserve=0, sent=0)
    assert len(worker.take(1)) == 1


@STEPS
def test_it_is_forgotten_without_getaccount_too(account: Account, worker: Worker, still: Still, step: float) -> None:
    account.allow(rate=1000, burst=100, quota=10, quota_reserve=0)
    account.put("bulk", 2)
    (tag,) = worker.take(1)
    worker.settle(tag, "over_quota", "LimitExceededException", "Daily message quota exceeded.")
    worker.take(0)
    still.step(step)
    worker.take(0)
    still.advance(HOUR + 1)
    worker.take(0)
    assert len(worker.take(1)) == 1


@BACK
def test_what_was_charged_leaves_the_quota_when_it_is_a_day_old(
    account: Account, worker: Worker, still: Still, step: float
) -> None:
    account.allow(rate=1000, burst=100, quota=4, quota_reserve=0)
    account.put("bulk", 20)
    worker.take(3)
    still.advance(2 * HOUR)
    (tag,) = worker.take(8)
    still.advance(60)
    worker.take(0)
    still.step(step)
    assert worker.take(8) == {}
    # The window holds as much as before, and what is given back goes to where it was charged.
    worker.settle(tag, "back")
    assert account.field("spent") == "3"
    still.advance(1)
    assert len(worker.take(8)) == 1
    still.advance(DAY - 2 * HOUR + 120)
    worker.take(0)
    assert len(worker.take(8)) == 3
    assert account.field("spent") == "4"
    minutes = [int(minute) for minute in account.client.hkeys(account.keys.quota)]
    assert max(minutes) <= still.us // 60_000_000


@BACK
def test_a_retry_comes_due_in_its_usual_time_and_mail_for_later_at_its_own(
    account: Account, worker: Worker, still: Still, step: float
) -> None:
    (retried,) = account.put("bulk", 1)
    (tag,) = worker.take(1)
    (later,) = account.put("bulk", 1, due_in=90)
    worker.settle(tag, "retry", 120_000_000, envelope(retried, retries=1).decode())
    worker.take(0)
    still.step(step)
    for _ in pass_by(still, worker, 121):
        pass
    assert list(worker.take(8).values()) == [retried]
    # A person named that moment, on this clock.
    still.advance(-step)
    assert list(worker.take(8).values()) == [later]


@BACK
def test_what_was_denied_is_tried_again_in_its_usual_time(
    account: Account, worker: Worker, still: Still, step: float
) -> None:
    (denied,) = account.put("bulk", 1)
    (tag,) = worker.take(1)
    again = envelope(denied).replace(b'"retries"', b'"mailer_denied": 1, "retries"')
    worker.settle(tag, "defer", still.us + 60_000_000, again.decode())
    still.step(step)
    for _ in pass_by(still, worker, 61):
        pass
    assert list(worker.take(8).values()) == [denied]


@BACK
def test_records_are_kept_for_no_longer_than_usual(account: Account, still: Still, step: float) -> None:
    worker = Worker(account, record_hours=72.0)
    lines = []
    for _ in range(3):
        (message_id,) = account.put("bulk", 1)
        (tag,) = worker.take(1)
        worker.settle(tag, "dead", "MessageRejected", "No.")
        lines.append(message_id)
        still.advance(6 * HOUR + 60)
    assert account.client.hget(account.keys.records, "segment") == b"3"
    worker.take(0)
    still.step(step)
    worker.take(0)
    account.put("bulk", 1)
    still.advance(1)
    (tag,) = worker.take(1)
    worker.settle(tag, "dead", "MessageRejected", "No.")
    kept = (72 + 6) * HOUR * 1e3
    ends = [int(account.client.pexpiretime(name)) for name in account.client.scan_iter(account.keys.records + ":*")]
    assert len(ends) >= 3
    assert max(ends) <= still.us / 1e3 + kept
    # Nobody drops what is young.
    assert min(ends) > still.us / 1e3 + 54 * HOUR * 1e3
    assert account.client.hget(account.keys.records, "segment") == b"4"
    still.advance(6 * HOUR)
    (again,) = account.put("bulk", 1)
    (tag,) = worker.take(1)
    worker.settle(tag, "dead", "MessageRejected", "No.")
    assert account.client.hget(account.keys.records, "segment") == b"5"
    records = Records(account.client, account.keys)
    assert [len(records.of(each)) for each in (*lines, again)] == [1] * 4


@BACK
def test_what_was_set_aside_before_can_be_requeued_and_dropped(
    account: Account, worker: Worker, still: Still, step: float
) -> None:
    # The shelf asks the server for its time, which nobody can put back.
    still.step(-step)
    ids = account.put("bulk", 3)
    for tag in worker.take(3):
        worker.settle(tag, "dead", "MessageRejected", "No.")
        still.advance(90)
    still.step(step)
    assert Shelf(account.queue, "dead", LANES).requeue(Filter(), first=True).moved == 3
    worker.take(0)
    still.advance(1)
    assert list(worker.take(8).values()) == ids


@STEPS
def test_no_call_in_doubt_is_kept_for_longer_than_usual(account: Account, still: Still, step: float) -> None:
    worker, other = Worker(account), Worker(account)
    worker.take(0)
    account.put("bulk", 3)
    adrift = worker.leases.call(2, within=10)
    worker.leases.abandon(adrift)
    still.step(step)
    worker.take(0)
    # It arrives after all: nobody reads its answer.
    worker.carry_out(adrift)
    for _ in pass_by(still, worker, 90):
        pass
    assert account.client.zcard(account.keys.leases) == 0
    assert len(other.take(3)) == 3
    still.advance(2 * DAY)
    assert not worker.leases.unsettled


@STEPS
def test_the_second_call_is_handed_messages_again(account: Account, worker: Worker, still: Still, step: float) -> None:
    worker.take(0)
    account.put("bulk", 1)
    still.step(step)
    assert len(worker.take(1)) + len(worker.take(1)) == 1


@BACK
def test_nothing_that_is_written_down_lies_farther_ahead_than_its_writer_puts_it(
    account: Account, worker: Worker, still: Still, step: float
) -> None:
    """Whatever fields there are: all that happens to an account, the step, and one call."""
    account.allow(rate=10, burst=1000, quota=1000, sent=0)
    account.put("bulk", 200)
    _be_refused(worker, still)
    again = envelope("again", retries=1).decode()
    for settled in (("unfit", "host", "no"), ("over_quota", "LimitExceeded", "No."), ("retry", 6 * 10**8, again)):
        (tag,) = worker.take(1)
        worker.settle(tag, *settled)
        account.client.hdel(account.keys.account, "others")
    account.allow(rate=10, burst=1000, quota=1000, sent=0, allows=True)
    (tag,) = worker.take(1)
    worker.settle(tag, "stop", "AccountSuspended", "No.")
    worker.take(0)
    for _ in range(3):
        still.advance(61)
        worker.take(1)
    still.step(step)
    worker.take(1)
    farthest = still.us + 901e6
    stored: dict[bytes, bytes] = account.client.hgetall(account.keys.account)  # type: ignore[assignment]
    moments = {name.decode(): float(value) for name, value in stored.items() if _is_moment(value)}
    shown_only = {"stopped_at"}
    assert {name: at for name, at in moments.items() if at > farthest and name not in shown_only} == {}
    # So many there are at the least: the test has not lost sight of them.
    assert len(moments) >= 9
    for key in (account.keys.leases, account.keys.schedule):
        assert account.client.zcount(key, "-inf", farthest) == account.client.zcard(key) > 0
    assert max(map(int, account.client.hkeys(account.keys.quota))) <= still.us // 60_000_000


def _is_moment(value: bytes) -> bool:
    """Whether these are epoch microseconds."""
    try:
        return float(value) > 1e15
    except ValueError:
        return False


def test_settled_messages_need_no_clock(account: Account, worker: Worker, still: Still) -> None:
    account.put("bulk", 1)
    (tag,) = worker.take(1)
    still.step(-DAY)
    worker.leases.settle(tag, SENT)
    worker.take(0)
    assert account.whereabouts() == []
    worker.leases.settle(tag, Settlement("back"))
    worker.take(0)
    assert account.whereabouts() == []
