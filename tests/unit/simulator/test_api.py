"""The v2 API as AWS's own client sees it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from mailer.simulator.client import Simulator
from tests.unit.simulator.conftest import Ses, mail, open_ses

Refusal = Callable[..., tuple[int, str, str]]


def test_a_message_id_has_sess_shape_and_tells_the_time(ses: Ses) -> None:
    ses_id = ses.send_email(**mail())["MessageId"]

    assert re.fullmatch(r"[0-9a-f]{16}-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}-000000", ses_id)
    assert ses_id.startswith("0100")
    assert int(ses_id[4:16], 16) / 1000 == pytest.approx(time.time(), abs=60)


def test_the_account_is_described_in_sess_shape(ses: Ses, simulator: Simulator) -> None:
    ses.send_email(**mail("ann@example.com", "bob@example.com"))

    account = ses.get_account()

    account.pop("ResponseMetadata")
    assert account == {
        "DedicatedIpAutoWarmupEnabled": False,
        "EnforcementStatus": "HEALTHY",
        "ProductionAccessEnabled": True,
        "SendQuota": {"Max24HourSend": 50_000.0, "MaxSendRate": 1000.0, "SentLast24Hours": 2.0},
        "SendingEnabled": True,
        "SuppressionAttributes": {"SuppressedReasons": ["BOUNCE", "COMPLAINT"]},
    }
    simulator.set_account(quota=-1)
    assert ses.get_account()["SendQuota"]["Max24HourSend"] == -1.0


def test_above_the_rate_ses_throttles_and_drops_the_mail(ses: Ses, simulator: Simulator, refusal: Refusal) -> None:
    simulator.freeze_clock()
    simulator.set_account(rate=1, bucket=2)
    for _ in range(2):
        ses.send_email(**mail())

    assert refusal(**mail()) == (429, "TooManyRequestsException", "Maximum sending rate exceeded.")
    assert len(simulator.messages()) == 2

    simulator.advance_clock(1)
    ses.send_email(**mail())


def test_a_call_with_many_recipients_puts_the_account_into_debt(
    ses: Ses, simulator: Simulator, refusal: Refusal
) -> None:
    simulator.freeze_clock()
    simulator.set_account(rate=1, bucket=1)
    ses.send_email(**mail(*(f"r{number}@example.com" for number in range(5))))

    simulator.advance_clock(4.9)
    assert refusal(**mail())[2] == "Maximum sending rate exceeded."
    simulator.advance_clock(0.1)
    ses.send_email(**mail())


def test_above_the_quota_ses_says_so_until_the_day_has_rolled(ses: Ses, simulator: Simulator, refusal: Refusal) -> None:
    simulator.freeze_clock()
    simulator.set_account(quota=2)
    ses.send_email(**mail())
    simulator.advance_clock(3600)
    ses.send_email(**mail())

    assert refusal(**mail()) == (429, "TooManyRequestsException", "Daily message quota exceeded.")
    simulator.advance_clock(22.9 * 3600)
    assert refusal(**mail())[2] == "Daily message quota exceeded."
    simulator.advance_clock(0.1 * 3600)
    ses.send_email(**mail())
    assert refusal(**mail())[2] == "Daily message quota exceeded."


def test_with_any_quota_left_a_call_passes_whole(ses: Ses, simulator: Simulator, refusal: Refusal) -> None:
    simulator.set_account(quota=10, used=9)

    ses.send_email(**mail("a@example.com", "b@example.com", "c@example.com"))

    assert ses.get_account()["SendQuota"]["SentLast24Hours"] == 12.0
    assert refusal(**mail())[2] == "Daily message quota exceeded."


def test_mailbox_simulator_mail_counts_for_the_rate_and_not_for_the_quota(
    ses: Ses, simulator: Simulator, refusal: Refusal
) -> None:
    simulator.freeze_clock()
    simulator.set_account(rate=2, bucket=2, quota=10, used=10)
    for address in ("success@simulator.amazonses.com", "bounce+a@simulator.amazonses.com"):
        ses.send_email(**mail(address))

    assert refusal(**mail("success@simulator.amazonses.com"))[2] == "Maximum sending rate exceeded."
    assert ses.get_account()["SendQuota"]["SentLast24Hours"] == 10.0


def test_under_overload_exactly_the_rate_plus_one_burst_is_admitted(ses: Ses, simulator: Simulator) -> None:
    rate, bucket, seconds = 40, 5, 3
    simulator.freeze_clock()
    simulator.set_account(rate=rate, bucket=bucket)
    admitted = 0
    for _ in range(3 * rate * seconds):
        try:
            ses.send_email(**mail())
        except ses.exceptions.TooManyRequestsException:
            simulator.advance_clock(1 / (3 * rate))
        else:
            admitted += 1

    traffic = simulator.stats()["regions"]["us-east-1"]
    first, last = traffic["first_accepted_at"], traffic["last_accepted_at"]
    assert admitted == traffic["accepted"]
    assert admitted == pytest.approx(rate * (last - first) + bucket, abs=1)
    assert traffic["most_in_one_second"] <= rate + bucket
    assert traffic["refused"]["rate"] > admitted


def test_each_region_has_an_account_of_its_own(simulator: Simulator) -> None:
    simulator.set_account("eu-central-1", quota=1)
    frankfurt, virginia = open_ses(simulator.url, region="eu-central-1"), open_ses(simulator.url)
    assert frankfurt.send_email(**mail())["MessageId"].startswith("0107")

    with pytest.raises(frankfurt.exceptions.TooManyRequestsException):
        frankfurt.send_email(**mail())
    virginia.send_email(**mail())

    assert {region: each["accepted"] for region, each in simulator.stats()["regions"].items()} == {
        "eu-central-1": 1,
        "us-east-1": 1,
    }


def test_get_account_may_be_asked_once_a_second(ses: Ses, simulator: Simulator) -> None:
    simulator.freeze_clock()
    simulator.set_account(control_rate=1)
    ses.get_account()

    with pytest.raises(ses.exceptions.TooManyRequestsException, match="Rate exceeded"):
        ses.get_account()
    simulator.advance_clock(1)
    ses.get_account()


def test_a_paused_account_sends_nothing(ses: Ses, simulator: Simulator, refusal: Refusal) -> None:
    simulator.set_account(sending_enabled=False)

    status, code, text = refusal(**mail())

    assert (status, code) == (400, "SendingPausedException")
    assert text.startswith("Sending paused for this account. For more information, please check the inbox")
    assert ses.get_account()["SendingEnabled"] is False


def test_a_suspended_account_sends_nothing(simulator: Simulator, refusal: Refusal) -> None:
    simulator.set_account(enforcement="SHUTDOWN")

    assert refusal(**mail())[:2] == (400, "AccountSuspendedException")


def test_the_sandbox_takes_only_verified_recipients(ses: Ses, simulator: Simulator, refusal: Refusal) -> None:
    simulator.set_account(sandbox=True, verified=["example.com", "me@elsewhere.example"])
    ses.send_email(**mail("me@elsewhere.example", "success@simulator.amazonses.com"))

    assert refusal(**mail("me@elsewhere.example", "you@elsewhere.example")) == (
        400,
        "MessageRejected",
        (
            "Email address is not verified. The following identities failed the check in region US-EAST-1: "
            "you@elsewhere.example"
        ),
    )
    assert ses.get_account()["ProductionAccessEnabled"] is False


def test_an_unverified_sender_is_refused_outside_the_sandbox_too(simulator: Simulator, refusal: Refusal) -> None:
    simulator.set_account(verified=["other.example"])

    assert refusal(**mail())[2].endswith("failed the check in region US-EAST-1: news@example.com")


@pytest.mark.parametrize(
    ("sender", "taken"),
    [
        ("news@example.com", True),
        ("news@EXAMPLE.com", True),
        ("news@mail.eu.example.com", True),
        ("news@notexample.com", False),
        ("me@Elsewhere.example", True),
        ("you@elsewhere.example", False),
        ("me@sub.elsewhere.example", False),
    ],
)
def test_a_verified_domain_stands_for_its_subdomains_in_any_case(
    ses: Ses, simulator: Simulator, sender: str, taken: bool
) -> None:
    simulator.set_account(verified=["Example.com", "me@elsewhere.EXAMPLE"])
    call = mail(FromEmailAddress=sender)
    if taken:
        ses.send_email(**call)
    else:
        with pytest.raises(ses.exceptions.MessageRejected):
            ses.send_email(**call)


def test_every_recipient_is_recorded_with_tags_and_invocation(ses: Ses, simulator: Simulator) -> None:
    call = mail("Ann <ann@example.com>", EmailTags=[{"Name": "mailer-id", "Value": "m-1"}, {"Name": "n", "Value": "v"}])
    call["Destination"] |= {"CcAddresses": ["cc@example.com"], "BccAddresses": ["bcc@example.com"]}
    ses_id = ses.send_email(**call, ConfigurationSetName="main")["MessageId"]

    (message,) = simulator.messages()
    assert message["to"] == ["ann@example.com", "cc@example.com", "bcc@example.com"]
    assert message["from"] == "news@example.com"
    assert message["tags"] == {"mailer-id": "m-1", "n": "v"}
    assert message["transport"] == "http"
    assert message["configuration_set"] == "main"
    assert re.fullmatch(r"[0-9a-f-]{36}", message["invocation_id"])
    assert message["at"] == pytest.approx(time.time(), abs=60)
    assert [(row.recipient, row.ses_id, row.message_id) for row in simulator.rows()] == [
        (recipient, ses_id, "m-1") for recipient in message["to"]
    ]


def test_what_was_sent_simple_can_be_read_back(ses: Ses, simulator: Simulator) -> None:
    call = mail(ReplyToAddresses=["help@example.com"])
    call["Content"]["Simple"] = {
        "Subject": {"Data": "Grüße"},
        "Body": {"Text": {"Data": "Hallo"}, "Html": {"Data": "<p>Hallo</p>"}},
        "Headers": [{"Name": "List-Unsubscribe", "Value": "<https://example.com/u>"}],
        "Attachments": [{"FileName": "a.bin", "RawContent": b"\x00\x01", "ContentType": "application/pdf"}],
    }
    ses_id = ses.send_email(**call)["MessageId"]

    message = simulator.message(ses_id)
    assert (message["subject"], message["text"], message["html"]) == ("Grüße", "Hallo", "<p>Hallo</p>")
    assert message["headers"] == [["List-Unsubscribe", "<https://example.com/u>"], ["Reply-To", "help@example.com"]]
    assert message["attachments"] == [
        {"filename": "a.bin", "content_type": "application/pdf", "size": 2, "content": "AAE="}
    ]


def test_what_was_sent_raw_can_be_read_back_without_sess_own_headers(ses: Ses, simulator: Simulator) -> None:
    raw = (
        b'From: Ann <ann@example.com>\r\nTo: bob@example.com, "C, D" <cd@example.com>\r\nSubject: Hi\r\n'
        b"X-SES-MESSAGE-TAGS: mailer-id=m-2,\r\n  n=v\r\nX-SES-CONFIGURATION-SET: main\r\n\r\nHello\r\n"
    )
    ses_id = ses.send_email(Content={"Raw": {"Data": raw}})["MessageId"]

    message = simulator.message(ses_id)
    assert message["from"] == "ann@example.com"
    assert message["to"] == ["bob@example.com", "cd@example.com"]
    assert message["tags"] == {"mailer-id": "m-2", "n": "v"}
    assert message["configuration_set"] == "main"
    assert [name for name, _ in message["headers"]] == ["From", "To", "Subject"]
    assert message["text"] == "Hello\r\n"


def test_tags_given_as_parameters_replace_those_of_a_raw_message(ses: Ses, simulator: Simulator) -> None:
    raw = b"From: a@example.com\r\nTo: b@example.com\r\nX-SES-MESSAGE-TAGS: a=b, c=d\r\n\r\nHello\r\n"

    ses.send_email(Content={"Raw": {"Data": raw}}, EmailTags=[{"Name": "c", "Value": "e"}])

    assert simulator.messages()[0]["tags"] == {"c": "e"}


def test_the_destination_given_is_the_envelope_of_a_raw_message(ses: Ses, simulator: Simulator) -> None:
    raw = b"From: a@example.com\r\nTo: shown@example.com\r\n\r\nHello\r\n"

    ses.send_email(Destination={"BccAddresses": ["real@example.com"]}, Content={"Raw": {"Data": raw}})

    assert simulator.messages()[0]["to"] == ["real@example.com"]


def test_many_sends_share_one_connection(ses: Ses, simulator: Simulator) -> None:
    ses.send_email(**mail())
    before = simulator.stats()["connections"]["http"]["opened"]
    for _ in range(20):
        ses.send_email(**mail())

    assert simulator.stats()["connections"]["http"]["opened"] == before


def test_https_with_the_simulators_own_authority_works() -> None:
    with Simulator(tls=True, smtp=False) as simulator:
        assert simulator.url.startswith("https://")
        ses: Any = open_ses(simulator.url, verify=simulator.ca_file)
        ses.send_email(**mail())
        assert len(simulator.messages()) == 1
