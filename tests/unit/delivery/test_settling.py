"""The promise: what becomes of a message, outcome by outcome."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mailer.delivery.outcome import Kind, Outcome
from mailer.delivery.settling import MOST_PERHAPS_SENT, Taken, settle, settle_lost
from mailer.queue.headers import FAILING_HEADER, KEY_HEADER, LEASE_ENDS, LOST, PERMIT_ENDS
from mailer.queue.settlement import VERBS, Settlement
from mailer.rules import Rules

NOW = 1_700_000_000.0
HOLDS = Rules(retry_hours=1, record_hours=0)
RESENDS = Rules(on_unknown={"bulk": "resend"}, retry_hours=1, record_hours=0)


def taken(*, lost: bool = False, **headers: Any) -> Taken:
    own = {"id": "m-1", "task": "mailer.send", KEY_HEADER: "key", LEASE_ENDS: 1.0, PERMIT_ENDS: 1.0, **headers}
    envelope = {**({LOST: 1} if lost else {}), "body": "[[], {}, {}]", "headers": own, "properties": {}}
    return Taken("m-1", "bulk", "jane@example.com", envelope, 0, "w@host")


def settled(kind: Kind, message: Taken, rules: Rules = HOLDS, **more: Any) -> Settlement:
    outcome = Outcome(kind, "0100-x") if kind is Kind.SENT else Outcome(kind, None, "Code", "It says no.")
    return settle(outcome, message, rules, now=NOW, random=lambda: 0.5, **more)


VERBS_OF = [
    (Kind.SENT, "sent", "sent"),
    (Kind.THROTTLED, "throttled", "throttled"),
    (Kind.OVER_QUOTA, "over_quota", "over_quota"),
    (Kind.STOPPED, "stop", "stop"),
    (Kind.UNFIT, "unfit", "unfit"),
    (Kind.UNREACHABLE, "unfit", "unfit"),
    (Kind.MISDATED, "unfit", "unfit"),
    (Kind.DENIED, "defer", "defer"),
    (Kind.LATE, "back", "back"),
    (Kind.FAILED, "retry", "retry"),
    (Kind.REJECTED, "dead", "dead"),
    (Kind.UNKNOWN, "hold", "resend"),
]


@pytest.mark.parametrize(
    ("kind", "holds", "resends"), VERBS_OF, ids=lambda value: value.word if isinstance(value, Kind) else None
)
def test_each_outcome_has_its_verb_in_a_lane_that_holds_and_in_one_that_resends(
    kind: Kind, holds: str, resends: str
) -> None:
    assert settled(kind, taken()).verb == holds
    assert settled(kind, taken(), RESENDS).verb == resends


def test_every_outcome_is_in_that_list() -> None:
    assert [kind for kind, _, _ in VERBS_OF] == list(Kind)


@pytest.mark.parametrize("kind", Kind)
def test_only_what_is_the_message_s_own_fault_or_may_have_been_sent_costs_it_anything(kind: Kind) -> None:
    verb = VERBS[kind.value.verb]
    if kind.value.fault in ("another sender", "the account", "this host"):
        assert not kind.value.spends_attempt
        assert verb.to == "head"
        assert verb.quota_back
    if kind.value.fault == "this host":
        assert verb.permit_back


@pytest.mark.parametrize("kind", Kind)
def test_an_attempt_is_spent_as_the_table_says(kind: Kind) -> None:
    settlement = settled(kind, taken(retries=1), RESENDS)
    if VERBS[settlement.verb].to == "schedule":
        again = json.loads(settlement.second)["headers"]
        assert again.get("retries", 0) == (2 if kind.value.spends_attempt else 1)


def test_what_was_denied_is_tried_after_a_minute_and_after_twice_as_long_each_time() -> None:
    waits = [(settled(Kind.DENIED, taken(mailer_denied=n)).first / 1e6 - NOW) / 0.875 for n in (0, 1, 2, 3, 4, 9)]
    assert waits == pytest.approx([60, 120, 240, 480, 900, 900])


def test_what_fails_waits_and_counts_only_the_time_between_its_attempts() -> None:
    settlement = settled(Kind.FAILED, taken(retries=1, mailer_failing=5_000))
    assert settlement.first == 2_000_000
    assert json.loads(settlement.second)["headers"][FAILING_HEADER] == 7_000


def test_what_failed_for_too_long_is_a_dead_letter_with_ses_s_words() -> None:
    settlement = settled(Kind.FAILED, taken(retries=20, mailer_failing=3_500_000))
    assert settlement == Settlement.dead("Code", "given up after 21 attempts in 0:58:20: It says no.")


def test_without_time_for_retries_there_is_one_attempt() -> None:
    once = Rules(on_unknown={"bulk": "resend"}, retry_hours=0, record_hours=0)
    assert settled(Kind.FAILED, taken(), once).verb == "dead"
    assert settled(Kind.UNKNOWN, taken(), once).verb == "hold"


def test_what_may_have_been_sent_is_held_in_the_end() -> None:
    assert settled(Kind.UNKNOWN, taken(retries=MOST_PERHAPS_SENT - 2), RESENDS).verb == "resend"
    assert settled(Kind.UNKNOWN, taken(retries=MOST_PERHAPS_SENT - 1), RESENDS).verb == "hold"


def test_what_may_have_been_sent_keeps_its_idempotency_key_taken() -> None:
    assert KEY_HEADER not in json.loads(settled(Kind.UNKNOWN, taken(), RESENDS).second)["headers"]
    assert KEY_HEADER in json.loads(settled(Kind.FAILED, taken()).second)["headers"]
    assert KEY_HEADER not in json.loads(settled(Kind.FAILED, taken(lost=True)).second)["headers"]


def test_what_this_process_knows_of_its_lease_is_not_written_to_redis() -> None:
    headers = json.loads(settled(Kind.FAILED, taken()).second)["headers"]
    assert not {LEASE_ENDS, PERMIT_ENDS} & set(headers)


def test_the_first_that_is_sent_after_a_doubt_names_the_worker() -> None:
    assert settled(Kind.SENT, taken()) == Settlement.sent("m-1")
    assert settled(Kind.SENT, taken(), ends_doubt=True) == Settlement.sent("m-1", "w@host")


def test_the_words_of_a_host_s_fault_are_masked() -> None:
    outcome = Outcome(Kind.UNFIT, None, "Code", "jane@example.com may not")
    assert settle(outcome, taken(), HOLDS, now=NOW).second == "Code: j***@example.com may not"


def test_a_message_whose_worker_was_lost_is_resent_as_a_suspect_or_held_and_held_the_second_time() -> None:
    resent = settle_lost("Terminated", "its process ended", taken(), RESENDS)
    assert resent.verb == "resend"
    assert next(iter(json.loads(resent.second))) == LOST
    assert settle_lost("Terminated", "its process ended", taken(), HOLDS).verb == "hold"
    again = settle_lost("Terminated", "its process ended", taken(lost=True), RESENDS)
    assert (again.verb, again.first) == ("hold", "WorkerLostTwice")


def test_a_record_s_note_has_no_address() -> None:
    rules = Rules(retry_hours=1)
    outcome = Outcome(Kind.REJECTED, None, "MessageRejected", "jane@example.com is not verified")
    note = settle(outcome, taken(), rules, now=NOW).note
    assert "MessageRejected" in note
    assert "jane@" not in note
