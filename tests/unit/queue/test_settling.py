"""What becomes of taken messages. The Lua is the real one, on a real server; its clock stands still but where moved."""

from __future__ import annotations

import pytest

from mailer.queue.settlement import VERBS, Settlement
from mailer.queue.take import Call, Take
from mailer.rules import Rules
from tests.support.account import SENT, Account, Worker, envelope
from tests.support.clock import Still

pytestmark = pytest.mark.usefixtures("still")


ARGUMENTS: dict[str, tuple[object, object]] = {
    "sent": ("m", ""),
    "unfit": ("w@host", "ExpiredToken: over"),
    "over_quota": ("TooManyRequestsException", "Daily message quota exceeded."),
    "stop": ("AccountSuspendedException", "No."),
    "retry": (5_000_000, envelope("again")),
    "resend": (5_000_000, envelope("again")),
    "defer": (4_000_000_000_000_000, envelope("again")),
    "dead": ("MessageRejected", "No."),
    "hold": ("ReadTimeout", "No answer."),
}


@pytest.mark.parametrize("name", [name for name in VERBS if name not in ("lost", "requeue", "drop")])
class TestVerbs:
    """The table of verbs says what the script does."""

    def test_the_message_goes_where_the_table_says(self, account: Account, worker: Worker, name: str) -> None:
        (own,) = account.put("bulk", 1)
        (tag,) = worker.take(1)
        other, *_ = account.put("bulk", 1)
        worker.settle(tag, name, *ARGUMENTS.get(name, ()))
        keys = account.keys
        places = {"schedule": keys.schedule, "dead": keys.aside("dead"), "held": keys.aside("held")}
        match VERBS[name].to:
            case "gone":
                assert account.whereabouts() == [other]
            case "head":
                assert account.whereabouts() == [other, own]
            case place:
                assert len(account.whereabouts_of(places[place])) == 1
                assert account.whereabouts_of(keys.lane("bulk")) == [other]

    def test_its_permit_comes_back_as_the_table_says(self, account: Account, worker: Worker, name: str) -> None:
        account.allow(rate=0.01, burst=1)
        account.put("bulk", 3)
        (tag,) = worker.take(3)
        worker.settle(tag, name, *ARGUMENTS.get(name, ()))
        assert len(worker.take(3)) == VERBS[name].permit_back

    def test_its_place_in_the_quota_comes_back_as_the_table_says(
        self, account: Account, worker: Worker, name: str
    ) -> None:
        account.allow(rate=1000, quota=10, burst=100)
        account.put("bulk", 1)
        (tag,) = worker.take(1)
        worker.settle(tag, name, *ARGUMENTS.get(name, ()))
        charged = [int(count) for count in account.client.hvals(account.keys.quota)]
        assert sum(charged) == (not VERBS[name].quota_back)


class TestSettling:
    """One verb, one place."""

    def test_sent_is_gone(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 1)
        (tag,) = worker.take(1)
        worker.settle(tag, "sent")
        assert account.whereabouts() == []
        assert account.client.zcard(account.keys.leases) == 0

    def test_a_message_that_is_settled_twice_in_one_call_is_settled_once(
        self, account: Account, worker: Worker
    ) -> None:
        """A lost call hands back what it may have taken, beside a settlement of the same message."""
        account.put("bulk", 1)
        (tag,) = worker.take(1)
        call = Call("somebody", 1, 0, 0.0, settlements=[(tag, SENT), (tag, Settlement("hold", "code", "words"))])
        Take(account.keys, Rules()).run(account.client, call, ())
        assert account.whereabouts() == []

    def test_text_that_no_utf_8_stands_for_settles_too(self, account: Account, worker: Worker) -> None:
        """JSON's escapes can write half of a surrogate pair, so an id or a reason may have one."""
        account.put("bulk", 2)
        sent, dead = worker.take(2)
        worker.settle_later(sent, "sent", "\ud800", "", "\ud800")
        worker.settle(dead, "dead", "InvalidMessage", "to: \udfff", "\udfff")
        assert account.client.zcard(account.keys.leases) == 0
        assert account.client.hlen(account.keys.aside("dead")) == 1

    def test_back_is_at_the_head_of_its_lane(self, account: Account, worker: Worker) -> None:
        first, second = account.put("bulk", 2)
        (tag,) = worker.take(1)
        worker.settle(tag, "back")
        assert list(worker.take(2).values()) == [first, second]

    def test_where_the_host_is_at_fault_the_message_is_at_the_head_and_the_host_is_named(
        self, account: Account, worker: Worker
    ) -> None:
        account.allow(rate=0.01, burst=1, quota=1)
        ids = account.put("transactional", 2)
        (tag,) = worker.take(1)
        worker.settle(tag, "unfit", "w1@web-3", "ExpiredTokenException: It is expired.")
        assert account.hosts() == {"w1@web-3": "ExpiredTokenException: It is expired."}
        (tag,) = other = worker.take(2)
        assert list(other) == [tag], "the permit and the quota are back"
        assert account.whereabouts() == [ids[1], ids[0]]
        worker.settle(tag, "sent", ids[0], "w2@web-4")
        assert list(account.hosts()) == ["w1@web-3"], "another's"

    def test_a_host_that_sends_again_is_no_longer_named(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 3)
        first, second, third = worker.take(3)
        worker.settle(first, "unfit", "w1@web-3", "COULDNT_CONNECT: refused")
        worker.settle(second, "sent", "m", "")
        assert list(account.hosts()) == ["w1@web-3"]
        worker.settle(third, "sent", "m", "w1@web-3")
        assert account.hosts() == {}

    def test_a_host_of_which_nothing_was_heard_for_long_is_forgotten(
        self, account: Account, worker: Worker, still: Still
    ) -> None:
        account.put("bulk", 4)
        tags = list(worker.take(4))
        worker.settle(tags[0], "unfit", "w1@gone", "X: Y")
        client, hosts = account.client, account.keys.hosts
        client.hset(hosts, "w1@odd", "no entry of ours")
        still.advance(300)
        worker.settle(tags[1], "unfit", "w1@web-3", "X: Y")
        began = client.hget(hosts, "w1@web-3").split()[0]  # type: ignore[union-attr]
        assert list(account.hosts()) == ["w1@gone", "w1@web-3"]
        still.advance(301)
        worker.settle(tags[2], "unfit", "w1@web-3", "X: Z")
        assert account.hosts() == {"w1@web-3": "X: Z"}
        assert client.hget(hosts, "w1@web-3").split()[0] == began  # type: ignore[union-attr]

    def test_back_gives_the_permit_back(self, account: Account, worker: Worker) -> None:
        account.allow(rate=0.01, burst=1)
        account.put("bulk", 1)
        (tag,) = worker.take(1)
        worker.settle(tag, "back")
        assert len(worker.take(1)) == 1

    def test_throttled_is_at_the_head_and_a_few_of_them_cut_nothing(self, account: Account, worker: Worker) -> None:
        account.allow(rate=100, burst=10)
        ids = account.put("bulk", 3)
        tags = worker.take(3)
        for tag in reversed(tags):
            worker.settle(tag, "throttled")
        assert account.whereabouts() == list(reversed(ids))
        assert account.field("cut") is None

    def test_throttled_often_cuts_the_rate_once(self, account: Account, worker: Worker) -> None:
        # A round takes as long as thirty permits.
        account.allow(rate=10, burst=199)
        account.put("bulk", 100)
        *most, after_the_round, soon_after = worker.take(100)
        for tag in most:
            worker.leases.settle(tag, Settlement("throttled"))
        worker.take(0)
        assert account.field("cut") is None
        account.client.hincrby(account.keys.account, "round", -3_100_000)
        worker.settle(after_the_round, "throttled")
        # Most calls were refused: as much as is ever cut at once.
        assert float(account.field("cut") or 1) == pytest.approx(0.5, abs=0.01)
        worker.settle(soon_after, "throttled")
        assert float(account.field("cut") or 1) == pytest.approx(0.5, abs=0.01)

    def test_a_paused_lane_does_not_hold_the_others(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 1)
        urgent = account.put("transactional", 1)
        account.client.hset(account.keys.account, "paused:bulk", "moving house")
        assert list(worker.take(5).values()) == urgent

    def test_retry_waits_in_the_schedule_with_its_new_envelope(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 1)
        (tag,) = worker.take(1)
        worker.settle(tag, "retry", 60_000_000, '{"body": "", "headers": {"id": "again"}}')
        assert worker.take(1) == {}
        account.make_due()
        assert list(worker.take(1).values()) == ["again"]

    def test_dead_keeps_the_words_and_the_message(self, account: Account, worker: Worker) -> None:
        (message_id,) = account.put("bulk", 1)
        (tag,) = worker.take(1)
        worker.settle(tag, "dead", "MessageRejected", "Email address is not verified.")
        reason = account.aside("dead")[message_id]
        assert (reason["lane"], reason["code"]) == ("bulk", "MessageRejected")
        assert reason["detail"] == "Email address is not verified."
        assert account.whereabouts() == [message_id]

    def test_settling_twice_changes_nothing(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 1)
        (tag,) = worker.take(1)
        for verb in ("back", "sent", "back"):
            worker.carry_out(Call(worker.leases.owner, 9, 0, 0.0, settlements=[(tag, Settlement(verb))]))
        assert account.length("bulk") == 1


class TestLeases:
    """Taken means leased."""

    def test_an_expired_lease_goes_back_where_the_lane_resends(self, account: Account, worker: Worker) -> None:
        ids = account.put("transactional", 2)
        Worker(account).take(1)
        account.end_leases()
        assert list(worker.take(2).values()) == ids

    def test_an_expired_lease_is_held_where_the_lane_holds(self, account: Account, worker: Worker) -> None:
        (message_id,) = account.put("bulk", 1)
        Worker(account).take(1)
        account.end_leases()
        assert worker.take(1) == {}
        assert account.aside("held")[message_id]["code"] == "LeaseExpired"

    def test_who_lost_its_lease_settles_nothing(self, account: Account, worker: Worker) -> None:
        (message_id,) = account.put("transactional", 1)
        slow = Worker(account)
        (lost,) = slow.take(1)
        account.end_leases()
        (tag,) = worker.take(1)
        slow.settle(lost, "dead", "X", "Y")
        assert account.aside("dead") == {}
        assert account.whereabouts() == [message_id]
        worker.settle(tag, "sent")
        assert account.whereabouts() == []

    def test_a_lost_answer_is_handed_back_by_the_next_call(self, account: Account, worker: Worker) -> None:
        ids = account.put("bulk", 3)
        call = worker.leases.call(2)
        worker.carry_out(call)
        assert account.length("bulk") == 1
        worker.leases.abandon_all()
        worker.take(0)
        assert account.client.zcard(account.keys.leases) == 0
        assert list(worker.take(3).values()) == ids

    def test_a_settlement_whose_answer_was_lost_is_sent_again(self, account: Account, worker: Worker) -> None:
        account.put("bulk", 1)
        (tag,) = worker.take(1)
        worker.leases.settle(tag, SENT)
        worker.leases.call(0)
        assert not worker.leases.unsettled
        worker.leases.abandon_all()
        worker.take(0)
        assert account.whereabouts() == []
