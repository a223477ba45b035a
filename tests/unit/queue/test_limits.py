"""Which limits hold, of all that are named. The Lua is the real one; its clock stands still but where moved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from mailer.errors import InvalidRequest
from mailer.operations.status import AccountStatus, read_status
from mailer.queue import limits
from mailer.queue.keys import Keys
from mailer.queue.limits import SesLimits
from mailer.settings import Settings
from tests.support.account import Account, Worker
from tests.support.clock import Still

pytestmark = pytest.mark.usefixtures("still")


class Fleet:
    """Worker processes that say what their settings are."""

    def __init__(self, client: redis.Redis, settings: Settings) -> None:
        self.client = client
        self.keys = Keys.of(settings)
        self._settings = settings.model_copy(update={"rate_per_second": None, "quota_per_day": None})

    def say(self, process: str, ses: SesLimits | None = None, **settings: Any) -> None:
        limits.write(self.client, self._settings.model_copy(update=settings), process, ses)

    def stop(self, process: str) -> None:
        limits.forget(self.client, self._settings, process)

    def ask_in_vain(self, process: str, why: str) -> None:
        limits.unanswered(self.client, self._settings, process, why)

    def set_rate(self, rate: float, until: datetime | timedelta | None = None) -> datetime | None:
        return limits.set_rate(self.client, self.keys, rate, until=until, reason="a passing trouble", by="jo@host")

    @property
    def status(self) -> AccountStatus:
        return read_status(self.client, self._settings)

    @property
    def rate(self) -> float | None:
        return self.status.rate.per_second

    @property
    def quota(self) -> int | None:
        return self.status.quota.per_day


def taken_in(worker: Worker, still: Still, seconds: int) -> int:
    """How many it may take, if it asks often."""
    taken = 0
    for _ in range(seconds * 50):
        still.advance(0.02)
        taken += len(worker.take(1))
    return taken


@pytest.fixture
def fleet(client: redis.Redis, settings: Settings) -> Fleet:
    return Fleet(client, settings)


class TestSettings:
    """Of several hosts' settings and SES's answer the most careful holds, whoever spoke last."""

    @pytest.mark.parametrize("last", ["a", "b"])
    def test_the_lowest_rate_and_quota_hold(self, fleet: Fleet, last: str) -> None:
        says: dict[str, dict[str, Any]] = {
            "a": {"rate_per_second": 20.0, "quota_per_day": 500},
            "b": {"rate_per_second": 14.0, "quota_per_day": -1},
        }
        for process in ("a", "b", last):
            fleet.say(process, **says[process])
        assert (fleet.rate, fleet.quota) == (14, 500)
        assert fleet.status.rate.source == "settings"

    def test_the_widest_headroom_and_reserve_and_the_smallest_burst_hold(self, fleet: Fleet) -> None:
        both: dict[str, Any] = {"rate_per_second": 10.0, "quota_per_day": 100}
        fleet.say("a", **both, rate_headroom=0.2, quota_reserve=0.01)
        fleet.say("b", **both, rate_headroom=0.1, quota_reserve=0.3, burst=7.0)
        fleet.say("c", **both, burst=9.0)
        account = fleet.client.hgetall(fleet.keys.account)
        assert (float(account[b"headroom"]), float(account[b"reserve"])) == (0.2, 0.3)
        assert account[b"burst"] == b"7"

    @pytest.mark.parametrize(("own", "allows", "holds"), [(20, 14, 14), (14, 20, 14), (None, 14, 14)])
    def test_a_setting_never_exceeds_what_ses_allows(
        self, fleet: Fleet, own: float | None, allows: float, holds: float
    ) -> None:
        fleet.say("a", SesLimits(allows, 1000), rate_per_second=own)
        assert (fleet.rate, fleet.quota) == (holds, 1000)
        assert fleet.status.rate.ses_per_second == allows
        assert fleet.status.rate.source == ("settings" if holds != allows else "ses")

    def test_one_host_without_settings_does_not_lift_the_others(self, fleet: Fleet) -> None:
        fleet.say("a", rate_per_second=14.0, quota_per_day=100)
        fleet.say("b", SesLimits(50, 1000))
        fleet.say("b")
        assert (fleet.rate, fleet.quota) == (14, 100)

    def test_there_are_no_limits_before_both_are_known(self, fleet: Fleet) -> None:
        fleet.say("a", rate_per_second=14.0)
        assert fleet.status.state == "unknown"
        fleet.say("b", quota_per_day=-1)
        assert (fleet.rate, fleet.quota, fleet.status.state) == (14, None, "sending")

    def test_a_worker_that_stops_holds_nobody_down(self, fleet: Fleet) -> None:
        fleet.say("a", rate_per_second=14.0, quota_per_day=-1)
        fleet.say("b", rate_per_second=20.0, quota_per_day=-1)
        fleet.stop("a")
        assert fleet.rate == 20
        fleet.stop("b")
        assert fleet.rate == 20, "where nobody says anything it stays as it was"

    def test_a_worker_that_was_killed_is_forgotten_after_five_minutes(self, fleet: Fleet, still: Still) -> None:
        fleet.say("a", rate_per_second=14.0, quota_per_day=-1)
        still.advance(299)
        fleet.say("b", rate_per_second=20.0, quota_per_day=-1)
        assert fleet.rate == 14
        still.advance(2)
        fleet.say("b", rate_per_second=20.0, quota_per_day=-1)
        assert (fleet.rate, fleet.client.hlen(fleet.keys.wishes)) == (20, 1)

    def test_a_clock_put_back_neither_forgets_a_host_nor_keeps_it_for_a_day(self, fleet: Fleet, still: Still) -> None:
        fleet.say("a", rate_per_second=14.0, quota_per_day=-1)
        still.advance(-86_400)
        fleet.say("b", rate_per_second=20.0, quota_per_day=-1)
        assert fleet.rate == 14
        still.advance(301)
        fleet.say("b", rate_per_second=20.0, quota_per_day=-1)
        assert fleet.rate == 20

    def test_what_ses_said_long_ago_lifts_nobody_and_holds_no_setting_down(self, fleet: Fleet, still: Still) -> None:
        fleet.say("a", SesLimits(14, 1000))
        still.advance(3601)
        fleet.say("a")
        assert fleet.rate == 14
        fleet.say("a", rate_per_second=20.0, quota_per_day=2000)
        assert (fleet.rate, fleet.quota) == (20, 2000)

    @pytest.mark.parametrize("garbage", ["", "x", "1 x", "1 3", '{"a": 1}'])
    def test_a_wish_that_cannot_be_read_is_forgotten(self, fleet: Fleet, garbage: str) -> None:
        fleet.client.hset(fleet.keys.wishes, "x", garbage)
        fleet.say("a", rate_per_second=14.0, quota_per_day=-1)
        assert (fleet.rate, fleet.client.hkeys(fleet.keys.wishes)) == (14, [b"a"])

    def test_ses_is_asked_as_long_as_one_host_leaves_a_limit_open(self, fleet: Fleet, account: Account) -> None:
        worker = Worker(account)

        def asks() -> bool:
            account.wait(2)
            worker.take(1)
            return worker.answer is not None and worker.answer.refresh_limits

        fleet.say("worker", rate_per_second=14.0, quota_per_day=-1)
        assert not asks()
        fleet.say("b", rate_per_second=14.0)
        fleet.say("worker", rate_per_second=14.0, quota_per_day=-1)
        assert asks()
        fleet.stop("b")
        assert not asks()

    def test_a_worker_that_ses_does_not_answer_leaves_the_question_to_another_at_once(
        self, fleet: Fleet, account: Account
    ) -> None:
        account.client.delete(account.keys.account, account.keys.wishes)
        bad, good = Worker(account), Worker(account)

        def is_told(worker: Worker) -> bool:
            worker.take(1)
            return worker.answer is not None and worker.answer.refresh_limits

        assert is_told(bad)
        bad.leases.fitness.asked(answered=False)
        fleet.ask_in_vain("web-3:1", "UnrecognizedClientException: The token is invalid")
        assert not is_told(bad)
        assert is_told(good)
        why = "SES has told nobody the account's limits. web-3: UnrecognizedClientException: The token is invalid"
        assert (fleet.status.state, fleet.status.reason) == ("unknown", why)
        fleet.say("web-4:1", SesLimits(14, -1))
        assert fleet.status.state == "sending"


class TestPerson:
    """A rate that a person set for all hosts at run time."""

    @pytest.fixture(autouse=True)
    def _settings(self, fleet: Fleet) -> None:
        fleet.say("a", rate_per_second=14.0, quota_per_day=-1)

    @pytest.mark.parametrize("rate", [2.5, 20])
    def test_it_stands_in_place_of_every_hosts_settings(self, fleet: Fleet, rate: float) -> None:
        assert fleet.set_rate(rate) is None
        fleet.say("b", rate_per_second=3.0, quota_per_day=-1)
        shown = fleet.status.rate
        assert (shown.per_second, shown.allowed_per_second, shown.source) == (rate, rate, "person")
        assert shown.person is not None
        assert (shown.person.by, shown.person.reason, shown.person.until) == ("jo@host", "a passing trouble", None)
        assert limits.reset_rate(fleet.client, fleet.keys)
        assert (fleet.rate, fleet.status.rate.person) == (3, None)
        assert not limits.reset_rate(fleet.client, fleet.keys)

    def test_the_next_take_obeys_it(self, fleet: Fleet, account: Account, still: Still) -> None:
        worker = Worker(account)
        fleet.stop("worker")
        account.put("bulk", 50)
        assert taken_in(worker, still, 2) == pytest.approx(28, abs=1)
        fleet.set_rate(0.5)
        assert taken_in(worker, still, 4) == pytest.approx(2, abs=1)

    def test_it_ends_by_itself_and_then_the_settings_hold(self, fleet: Fleet, account: Account, still: Still) -> None:
        worker = Worker(account)
        fleet.stop("worker")
        account.put("bulk", 500)
        end = fleet.set_rate(0.1, timedelta(hours=2))
        assert end is not None
        assert end.timestamp() == pytest.approx(datetime.now(UTC).timestamp() + 7200, abs=90)
        worker.take(50)
        still.advance(7200 + 90)
        assert fleet.client.hexists(fleet.keys.account, "set_rate")
        assert taken_in(worker, still, 2) == pytest.approx(28, abs=1)
        fleet.say("a", rate_per_second=14.0, quota_per_day=-1)
        assert not [name for name, _ in fleet.client.hscan_iter(fleet.keys.account, "set_*")]

    def test_it_never_exceeds_what_ses_allows(self, fleet: Fleet, still: Still) -> None:
        fleet.say("a", SesLimits(30, -1))
        fleet.set_rate(50)
        assert fleet.rate == 30
        fleet.say("a", SesLimits(40, -1))
        assert fleet.rate == 40
        still.advance(3601)
        fleet.say("a", rate_per_second=10.0, quota_per_day=-1)
        assert fleet.rate == 50, "SES is not asked any more"

    def test_it_is_set_while_no_worker_runs(self, fleet: Fleet, still: Still) -> None:
        still.advance(3600)
        fleet.set_rate(5)
        fleet.say("b", rate_per_second=20.0, quota_per_day=-1)
        assert fleet.rate == 5
        limits.reset_rate(fleet.client, fleet.keys)
        assert fleet.rate == 20

    @pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
    def test_a_rate_that_is_none_is_refused(self, fleet: Fleet, rate: float) -> None:
        with pytest.raises(InvalidRequest, match="rate"):
            fleet.set_rate(rate)
        with pytest.raises(InvalidRequest, match="until"):
            fleet.set_rate(3, datetime(2020, 1, 1, tzinfo=UTC))
        assert fleet.rate == 14

    def test_it_lets_nothing_go_out_before_the_limits_are_known(self, client: redis.Redis, settings: Settings) -> None:
        fresh = Fleet(client, settings.model_copy(update={"account": f"{settings.account}-fresh"}))
        fresh.set_rate(5)
        assert fresh.status.state == "unknown"


class TestNoRate:
    """SES allows 0 recipients a second."""

    def test_the_account_is_stopped_with_its_words_and_goes_on_when_ses_allows_more(
        self, fleet: Fleet, account: Account
    ) -> None:
        fleet.say("worker", SesLimits(0, 0))
        assert (fleet.status.state, fleet.status.reason) == (
            "stopped",
            "MaxSendRate: SES allows this account 0 recipients a second",
        )
        account.put("bulk", 1)
        worker = Worker(account)
        account.wait(2)
        assert worker.take(1) == {}
        assert worker.answer is not None
        assert worker.answer.refresh_limits
        fleet.say("worker", SesLimits(14, 1000))
        assert (fleet.status.state, fleet.rate) == ("sending", 14)
        assert len(worker.take(1)) == 1

    def test_a_stop_of_another_kind_is_not_ended_by_it(self, fleet: Fleet, account: Account) -> None:
        account.put("bulk", 1)
        worker = Worker(account)
        (tag,) = worker.take(1)
        worker.settle(tag, "stop", "AccountSuspended", "Ask AWS.")
        fleet.say("worker", SesLimits(14, 1000))
        assert fleet.status.state == "stopped"
