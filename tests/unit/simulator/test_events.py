"""What SES tells about a message after it was accepted."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from mailer.simulator.client import Simulator, SimulatorError
from tests.unit.simulator.conftest import Ses, mail, open_ses
from tests.unit.simulator.webhook import until

AT_SIMULATOR = "simulator.amazonses.com"
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


def kinds(simulator: Simulator, **query: str) -> list[str]:
    return [event["eventType"] for event in simulator.events(**query)]


def test_ordinary_mail_is_sent_and_delivered(ses: Ses, simulator: Simulator) -> None:
    call = mail("ann@example.com", EmailTags=[{"Name": "campaign", "Value": "spring"}])
    ses_id = ses.send_email(**call)["MessageId"]

    sent, delivered = simulator.events()
    assert (sent["eventType"], sent["send"]) == ("Send", {})
    assert delivered["eventType"] == "Delivery"
    assert delivered["delivery"]["recipients"] == ["ann@example.com"]
    assert delivered["delivery"]["smtpResponse"].startswith("250 ")
    mentioned = delivered["mail"]
    assert mentioned["messageId"] == mentioned["commonHeaders"]["messageId"] == ses_id
    assert mentioned["destination"] == ["ann@example.com"]
    assert mentioned["source"] == "news@example.com"
    assert mentioned["commonHeaders"]["subject"] == "Hello"
    assert mentioned["headersTruncated"] is False
    assert {"name": "Subject", "value": "Hello"} in mentioned["headers"]
    assert mentioned["timestamp"].endswith("Z")
    assert mentioned["tags"]["campaign"] == ["spring"]
    assert mentioned["tags"]["ses:from-domain"] == ["example.com"]
    assert {"ses:source-ip", "ses:caller-identity", "ses:outgoing-ip"} < set(mentioned["tags"])


def test_the_headers_of_raw_mail_are_in_its_events(ses: Ses, simulator: Simulator) -> None:
    raw = (
        b'From: Ann <ann@example.com>\r\nTo: bob@example.com, "C, D" <cd@example.com>\r\nX-Long: a\r\n b\r\n\r\nHi\r\n'
    )
    ses.send_email(Content={"Raw": {"Data": raw}})

    mentioned = simulator.events(kind="Send")[0]["mail"]
    assert mentioned["commonHeaders"]["from"] == ["Ann <ann@example.com>"]
    assert mentioned["commonHeaders"]["to"] == ["bob@example.com", "C, D <cd@example.com>"]
    assert {"name": "X-Long", "value": "a b"} in mentioned["headers"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("success", ["Send", "Delivery"]),
        ("success+label", ["Send", "Delivery"]),
        ("bounce", ["Send", "Bounce"]),
        ("bounce+42", ["Send", "Bounce"]),
        ("complaint", ["Send", "Delivery", "Complaint"]),
        ("complaint+x.y", ["Send", "Delivery", "Complaint"]),
        ("ooto", ["Send", "Delivery"]),
        ("suppressionlist", ["Send", "Bounce"]),
        ("unheard-of", ["Send", "Delivery"]),
    ],
)
def test_the_mailbox_simulator_behaves_as_aws_documents(
    ses: Ses, simulator: Simulator, name: str, expected: list[str]
) -> None:
    ses.send_email(**mail(f"{name}@{AT_SIMULATOR}"))

    assert kinds(simulator) == expected


def test_a_bounce_of_the_mailbox_simulator_is_a_hard_one(ses: Ses, simulator: Simulator) -> None:
    ses.send_email(**mail(f"bounce+a@{AT_SIMULATOR}"))

    (event,) = simulator.events(kind="Bounce")
    bounce = event["bounce"]
    assert (bounce["bounceType"], bounce["bounceSubType"]) == ("Permanent", "General")
    assert bounce["bouncedRecipients"] == [
        {
            "emailAddress": f"bounce+a@{AT_SIMULATOR}",
            "action": "failed",
            "status": "5.1.1",
            "diagnosticCode": "smtp; 550 5.1.1 user unknown",
        }
    ]
    assert bounce["feedbackId"].endswith("-000000")


def test_bounces_of_one_call_are_merged_and_the_others_delivered(ses: Ses, simulator: Simulator) -> None:
    ses.send_email(**mail(f"bounce+a@{AT_SIMULATOR}", "ann@example.com", f"bounce+b@{AT_SIMULATOR}"))

    assert sorted(kinds(simulator)) == ["Bounce", "Delivery", "Send"]
    (bounced,) = simulator.events(kind="Bounce")
    assert [each["emailAddress"][:8] for each in bounced["bounce"]["bouncedRecipients"]] == ["bounce+a", "bounce+b"]


def test_an_event_tells_the_headers_of_a_message_that_ses_wrote_and_no_bcc(ses: Ses, simulator: Simulator) -> None:
    call = mail(FromEmailAddress="Spring Shop <news@example.com>")
    call["Destination"] |= {"CcAddresses": ["Bea <bea@example.com>"], "BccAddresses": ["secret@example.com"]}
    ses.send_email(**call)

    told = simulator.events(kind="Send")[0]["mail"]
    assert told["destination"] == ["ann@example.com", "bea@example.com", "secret@example.com"]
    assert {each["name"]: each["value"] for each in told["headers"]} == {
        "From": "Spring Shop <news@example.com>",
        "To": "ann@example.com",
        "Cc": "Bea <bea@example.com>",
        "Subject": "Hello",
        "MIME-Version": "1.0",
    }
    common = told["commonHeaders"]
    assert (common["from"], common["to"], common["cc"]) == (
        ["Spring Shop <news@example.com>"],
        ["ann@example.com"],
        ["Bea <bea@example.com>"],
    )


def test_a_complaint_is_abuse(ses: Ses, simulator: Simulator) -> None:
    ses.send_email(**mail(f"complaint@{AT_SIMULATOR}"))

    complaint = simulator.events(kind="Complaint")[0]["complaint"]
    assert complaint["complaintFeedbackType"] == "abuse"
    assert complaint["complaintSubType"] is None
    assert complaint["complainedRecipients"] == [{"emailAddress": f"complaint@{AT_SIMULATOR}"}]


def test_the_global_suppression_list_bounces_as_suppressed(ses: Ses, simulator: Simulator) -> None:
    ses.send_email(**mail(f"suppressionlist@{AT_SIMULATOR}"))

    assert simulator.events(kind="Bounce")[0]["bounce"]["bounceSubType"] == "Suppressed"


def test_out_of_the_office_answers_to_the_return_path(ses: Ses, simulator: Simulator) -> None:
    ses_id = ses.send_email(**mail(f"ooto@{AT_SIMULATOR}"))["MessageId"]

    (reply,) = simulator.auto_replies()
    assert (reply["to"], reply["ses_id"]) == ("news@example.com", ses_id)


def test_a_virus_is_taken_and_then_rejected(ses: Ses, simulator: Simulator) -> None:
    call = mail("ann@example.com")
    call["Content"]["Simple"]["Attachments"] = [{"FileName": "eicar.com", "RawContent": EICAR}]
    ses.send_email(**call)
    raw = (
        b'From: a@example.com\r\nTo: b@example.com\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="x"'
        b"\r\n\r\n--x\r\n\r\nHello\r\n--x\r\nContent-Disposition: attachment; filename=e.com\r\n\r\n" + EICAR + b"\r\n"
        b"--x--\r\n"
    )
    ses.send_email(Content={"Raw": {"Data": raw}})

    assert kinds(simulator) == ["Send", "Reject", "Send", "Reject"]
    assert simulator.events(kind="Reject")[0]["reject"] == {"reason": "Bad content"}


def test_the_name_of_the_virus_in_the_text_is_no_virus(ses: Ses, simulator: Simulator) -> None:
    call = mail("ann@example.com")
    call["Content"]["Simple"]["Body"]["Text"]["Data"] = EICAR.decode()
    ses.send_email(**call)

    assert kinds(simulator) == ["Send", "Delivery"]


def test_what_bounced_hard_is_suppressed_from_then_on(ses: Ses, simulator: Simulator) -> None:
    simulator.set_outcomes(bounce=1)
    ses.send_email(**mail("gone@example.com"))
    simulator.set_outcomes(bounce=0)
    ses.send_email(**mail("gone@example.com", "ann@example.com"))

    first, second = simulator.events(kind="Bounce")
    assert first["bounce"]["bounceSubType"] == "General"
    assert second["bounce"]["bounceSubType"] == "OnAccountSuppressionList"
    assert [each["emailAddress"] for each in second["bounce"]["bouncedRecipients"]] == ["gone@example.com"]
    assert (
        ses.get_suppressed_destination(EmailAddress="gone@example.com")["SuppressedDestination"]["Reason"] == "BOUNCE"
    )


def test_a_complainer_is_suppressed_and_complains_again_without_mail(ses: Ses, simulator: Simulator) -> None:
    ses.put_suppressed_destination(EmailAddress="angry@example.com", Reason="COMPLAINT")
    ses.send_email(**mail("angry@example.com"))

    assert kinds(simulator) == ["Send", "Complaint"]
    assert simulator.events(kind="Complaint")[0]["complaint"]["complaintSubType"] == "OnAccountSuppressionList"


def test_outcomes_happen_as_often_as_asked() -> None:
    with Simulator(smtp=False, rate=10_000, seed=7, outcomes="bounce=0.1,soft_bounce=0.1,complaint=0.5") as simulator:
        ses = open_ses(simulator.url)
        for number in range(20):
            ses.send_email(**mail(*(f"r{number}-{index}@example.com" for index in range(50))))

        bounced = [
            (event["bounce"]["bounceType"], len(event["bounce"]["bouncedRecipients"]))
            for event in simulator.events(kind="Bounce")
        ]
        hard = sum(count for kind, count in bounced if kind == "Permanent")
        soft = sum(count for kind, count in bounced if kind == "Transient")
        assert hard == pytest.approx(100, abs=35)
        assert soft == pytest.approx(100, abs=35)
        assert len(kinds(simulator, kind="Delivery")) == 1000 - hard - soft
        assert len(kinds(simulator, kind="Complaint")) == pytest.approx(400, abs=70)


def test_events_come_late_on_the_accounts_clock(ses: Ses, simulator: Simulator) -> None:
    simulator.freeze_clock()
    simulator.set_outcomes(delay=1, delay_after="10min", delivery_after="4h", complaint=1, complaint_after="48h")
    ses.send_email(**mail())
    seen = [kinds(simulator)]
    for hours in (1, 4, 48):
        simulator.advance_clock(hours * 3600)
        seen.append(kinds(simulator))

    assert seen == [
        ["Send"],
        ["Send", "DeliveryDelay"],
        ["Send", "DeliveryDelay", "Delivery"],
        ["Send", "DeliveryDelay", "Delivery", "Complaint"],
    ]
    delay, delivery = simulator.events()[1:3]
    assert delay["deliveryDelay"]["delayType"] == "TransientCommunicationFailure"
    assert delay["deliveryDelay"]["delayedRecipients"][0]["emailAddress"] == "ann@example.com"
    assert delivery["delivery"]["processingTimeMillis"] == (10 * 60 + 4 * 3600) * 1000


def test_events_come_late_in_real_time_too(ses: Ses, simulator: Simulator) -> None:
    simulator.set_outcomes(delivery_after="200ms")
    ses.send_email(**mail())

    until(lambda: kinds(simulator) == ["Send", "Delivery"])
    assert simulator.events()[1]["delivery"]["processingTimeMillis"] >= 200


def test_the_older_notifications_know_three_kinds_and_no_tags(ses: Ses, simulator: Simulator) -> None:
    ses.send_email(**mail("ann@example.com", f"bounce@{AT_SIMULATOR}"))

    page = simulator.request("GET", "/_sim/events", query={"format": "notification"})
    shown = [each["event"] for each in page["events"]]
    assert [each["notificationType"] for each in shown] == ["Delivery", "Bounce"]
    assert all("tags" not in each["mail"] and "sourceIp" in each["mail"] for each in shown)


def test_events_of_a_message_no_longer_kept_have_no_headers() -> None:
    with Simulator(smtp=False, keep=1, rate=1000) as simulator:
        ses = open_ses(simulator.url)
        ses.send_email(**mail("first@example.com"))
        ses.send_email(**mail("second@example.com"))

        first, *_, last = simulator.events()
        assert first["mail"]["headersTruncated"] is True
        assert "headers" not in first["mail"]
        assert "headers" in last["mail"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"bounce": 2}, "bounce must be at most 1, not 2"),
        ({"bounce": 0.6, "soft_bounce": 0.6}, "together at most 1"),
        ({"bounce": "often"}, "bounce must be a number, not 'often'"),
        ({"bounce": True}, "bounce must be a number, not True"),
        ({"delivery_after": "soon"}, "not a duration"),
        ({"delivery_after": 3}, "delivery_after must be a text as 20ms"),
        ({"explode": 1}, "an outcome has no explode"),
    ],
)
def test_wrong_outcomes_are_refused(simulator: Simulator, changes: dict[str, Any], text: str) -> None:
    before = simulator.request("GET", "/_sim/outcomes")
    with pytest.raises(SimulatorError, match=text):
        simulator.set_outcomes(**changes)

    assert simulator.request("GET", "/_sim/outcomes") == before


def test_statistics_count_what_came_back(simulator: Simulator, ses: Ses) -> None:
    ses.send_email(**mail("ann@example.com", f"bounce@{AT_SIMULATOR}", f"complaint@{AT_SIMULATOR}"))

    v1 = boto3.client(
        "ses",
        endpoint_url=simulator.url,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    (point,) = v1.get_send_statistics()["SendDataPoints"]
    assert (point["DeliveryAttempts"], point["Bounces"], point["Complaints"]) == (3, 1, 1)
