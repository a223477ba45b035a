"""SendBulkEmail: one HTTP 200, and a status for each entry."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError, HTTPClientError

from mailer.simulator.client import Simulator
from tests.unit.simulator.conftest import Ses

TEMPLATE = {"TemplateContent": {"Subject": "Hello {{name}}", "Text": "x"}, "TemplateData": '{"name": "friend"}'}


def entry(*to: str, data: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    replacement = {} if data is None else {"ReplacementTemplateData": json.dumps(data)}
    return {
        "Destination": {"ToAddresses": list(to)},
        "ReplacementEmailContent": {"ReplacementTemplate": replacement},
        **changes,
    }


def bulk(*entries: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "FromEmailAddress": "news@example.com",
        "DefaultContent": {"Template": TEMPLATE},
        "BulkEmailEntries": list(entries),
        **changes,
    }


def statuses(ses: Ses, call: dict[str, Any]) -> list[str]:
    return [each["Status"] for each in ses.send_bulk_email(**call)["BulkEmailEntryResults"]]


def test_each_entry_is_a_mail_with_data_of_its_own(ses: Ses, simulator: Simulator) -> None:
    call = bulk(
        entry("ann@example.com", data={"name": "Ann"}, ReplacementTags=[{"Name": "n", "Value": "own"}]),
        entry("bob@example.com", data={}),
        entry("cy@example.com", ReplacementHeaders=[{"Name": "X-A", "Value": "b"}]),
        DefaultEmailTags=[{"Name": "n", "Value": "default"}, {"Name": "m", "Value": "v"}],
    )

    results = ses.send_bulk_email(**call)["BulkEmailEntryResults"]

    messages = simulator.messages(fields="ses_id,to,subject,tags,headers")
    assert [result["MessageId"] for result in results] == [message["ses_id"] for message in messages]
    assert [message["subject"] for message in messages] == ["Hello Ann", "Hello friend", "Hello friend"]
    assert [message["tags"]["n"] for message in messages] == ["own", "default", "default"]
    assert ["X-A", "b"] in messages[2]["headers"]


def test_one_bad_entry_does_not_spoil_the_others(ses: Ses, simulator: Simulator) -> None:
    results = ses.send_bulk_email(**bulk(entry("ann@example.com"), entry("bob"), entry("cy@example.com")))

    assert [each["Status"] for each in results["BulkEmailEntryResults"]] == ["SUCCESS", "INVALID_PARAMETER", "SUCCESS"]
    assert results["BulkEmailEntryResults"][1]["Error"] == "Missing final '@domain'"
    assert len(simulator.messages()) == 2


def test_the_rate_is_counted_by_entry(ses: Ses, simulator: Simulator) -> None:
    simulator.freeze_clock()
    simulator.set_account(rate=2, bucket=2)

    call = bulk(*(entry(f"r{number}@example.com") for number in range(4)))

    assert statuses(ses, call) == ["SUCCESS", "SUCCESS", "ACCOUNT_THROTTLED", "ACCOUNT_THROTTLED"]


def test_the_quota_is_counted_by_entry(ses: Ses, simulator: Simulator) -> None:
    simulator.set_account(quota=10, used=9)

    assert statuses(ses, bulk(entry("a@example.com"), entry("b@example.com"))) == [
        "SUCCESS",
        "ACCOUNT_DAILY_QUOTA_EXCEEDED",
    ]


def test_an_unverified_sender_or_recipient_is_told_by_entry(ses: Ses, simulator: Simulator) -> None:
    simulator.set_account(sandbox=True, verified=["example.com"])

    assert statuses(ses, bulk(entry("a@example.com"), entry("b@else.example"))) == ["SUCCESS", "MESSAGE_REJECTED"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("rejected", "MESSAGE_REJECTED"),
        ("mail-from", "MAIL_FROM_DOMAIN_NOT_VERIFIED"),
        ("configuration-set", "CONFIGURATION_SET_NOT_FOUND"),
        ("template", "TEMPLATE_NOT_FOUND"),
        ("suspended", "ACCOUNT_SUSPENDED"),
        ("throttle", "ACCOUNT_THROTTLED"),
        ("daily-quota", "ACCOUNT_DAILY_QUOTA_EXCEEDED"),
        ("sending-pool", "INVALID_SENDING_POOL_NAME"),
        ("paused", "ACCOUNT_SENDING_PAUSED"),
        ("configuration-set-paused", "CONFIGURATION_SET_SENDING_PAUSED"),
        ("bad-request", "INVALID_PARAMETER"),
        ("unavailable", "TRANSIENT_FAILURE"),
        ("internal", "FAILED"),
    ],
)
def test_a_fault_gives_one_entry_any_status(ses: Ses, simulator: Simulator, error: str, status: str) -> None:
    simulator.add_fault("error", error=error, recipient="bob@")

    assert statuses(ses, bulk(entry("ann@example.com"), entry("bob@example.com"))) == ["SUCCESS", status]


@pytest.mark.parametrize(("when", "accepted"), [("before", 1), ("after", 3)])
def test_a_dropped_connection_may_have_accepted_some(ses: Ses, simulator: Simulator, when: str, accepted: int) -> None:
    simulator.add_fault("reset", when=when, recipient="bob@")

    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        ses.send_bulk_email(**bulk(*(entry(f"{name}@example.com") for name in ("ann", "bob", "cy"))))

    assert len(simulator.messages()) == accepted


@pytest.mark.parametrize(
    ("account", "changes", "status", "code"),
    [
        ({"sending_enabled": False}, {}, 400, "SendingPausedException"),
        ({"enforcement": "SHUTDOWN"}, {}, 400, "AccountSuspendedException"),
        ({}, {"ConfigurationSetName": "none"}, 404, "NotFoundException"),
        ({}, {"DefaultContent": {"Template": {"TemplateName": "none"}}}, 404, "NotFoundException"),
        ({}, {"DefaultContent": {}}, 400, "BadRequestException"),
        ({}, {"BulkEmailEntries": []}, 400, "BadRequestException"),
        ({}, {"BulkEmailEntries": [entry("a@example.com")] * 51}, 400, "BadRequestException"),
        ({}, {"BulkEmailEntries": [{}]}, 400, "BadRequestException"),
        ({}, {"FromEmailAddress": None}, 400, "BadRequestException"),
        ({}, {"FromEmailAddress": "nobody"}, 400, "BadRequestException"),
        ({}, {"DefaultEmailTags": [{"Name": "a b", "Value": "v"}]}, 400, "BadRequestException"),
    ],
)
def test_what_holds_for_all_entries_refuses_the_call(
    ses: Ses, simulator: Simulator, account: dict[str, Any], changes: dict[str, Any], status: int, code: str
) -> None:
    if account:
        simulator.set_account(**account)

    with pytest.raises(ses.exceptions.ClientError) as caught:
        ses.send_bulk_email(**bulk(entry("ann@example.com"), **changes))

    response = caught.value.response
    assert (response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]) == (status, code)
    assert simulator.stats()["accepted"] == 0
