"""The v1 API as AWS's own client sees it: the same account under older names."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.parsers import ResponseParserError

from mailer.simulator.client import Simulator
from tests.unit.simulator.conftest import SECRET, Ses
from tests.unit.simulator.conftest import mail as v2_mail

RAW = b"From: news@example.com\r\nTo: ann@example.com\r\nSubject: Hello\r\n\r\nHello.\r\n"
PAUSED = (
    "Sending paused for this account. For more information, please check the inbox of the email address "
    "associated with your AWS account."
)


def open_v1(url: str, **client: Any) -> Ses:
    return boto3.client(
        "ses",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=client.pop("key", "AKIDEXAMPLE"),
        aws_secret_access_key=client.pop("secret", SECRET),
        config=Config(
            retries={"mode": "standard", "total_max_attempts": 1},
            read_timeout=30,
            parameter_validation=False,
            proxies={},
        ),
        **client,
    )


def mail(*to: str, **changes: Any) -> dict[str, Any]:
    return {
        "Source": "news@example.com",
        "Destination": {"ToAddresses": list(to or ("ann@example.com",))},
        "Message": {"Subject": {"Data": "Hello"}, "Body": {"Text": {"Data": "Hello."}}},
        **changes,
    }


@pytest.fixture
def v1(simulator: Simulator) -> Iterator[Ses]:
    client = open_v1(simulator.url)
    yield client
    client.close()


def refused(call: Callable[..., Any], **arguments: Any) -> tuple[int, str, str]:
    """(HTTP status, code, text)."""
    try:
        call(**arguments)
    except Exception as error:
        response = getattr(error, "response", None)
        if response is None:
            raise
        return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"], response["Error"]["Message"]
    raise AssertionError("it was accepted")


def test_a_mail_is_read_back_whole(v1: Ses, simulator: Simulator) -> None:
    ses_id = v1.send_email(
        Source="Nächste Post <news@example.com>",
        Destination={"ToAddresses": ["ann@example.com"], "CcAddresses": ["c@example.com"], "BccAddresses": []},
        Message={"Subject": {"Data": "Grüße & <mehr>"}, "Body": {"Html": {"Data": "<p>a+b=c %41</p>"}}},
        ReplyToAddresses=["help@example.com"],
        ReturnPath="bounces@example.com",
        Tags=[{"Name": "mailer-id", "Value": "m-1"}],
        ConfigurationSetName="main",
    )["MessageId"]

    message = simulator.message(ses_id)
    assert message["to"] == ["ann@example.com", "c@example.com"]
    assert (message["subject"], message["html"], message["text"]) == ("Grüße & <mehr>", "<p>a+b=c %41</p>", None)
    assert (message["tags"], message["configuration_set"]) == ({"mailer-id": "m-1"}, "main")
    assert ["Reply-To", "help@example.com"] in message["headers"]
    assert message["invocation_id"]


def test_a_raw_mail_goes_to_its_envelope_or_by_its_headers(v1: Ses, simulator: Simulator) -> None:
    v1.send_raw_email(RawMessage={"Data": RAW}, Destinations=["real@example.com"], Source="other@example.com")
    v1.send_raw_email(RawMessage={"Data": RAW})

    first, second = simulator.messages()
    assert (first["from"], first["to"]) == ("other@example.com", ["real@example.com"])
    assert (second["from"], second["to"]) == ("news@example.com", ["ann@example.com"])


def test_both_apis_and_smtp_draw_on_one_account(v1: Ses, ses: Ses, simulator: Simulator) -> None:
    simulator.freeze_clock()
    simulator.set_account(rate=1, bucket=2, quota=100)
    v1.send_email(**mail())
    ses.send_email(**v2_mail())

    assert refused(v1.send_email, **mail()) == (400, "Throttling", "Maximum sending rate exceeded.")
    assert refused(ses.send_email, **v2_mail()) == (429, "TooManyRequestsException", "Maximum sending rate exceeded.")
    assert v1.get_send_quota()["SentLast24Hours"] == ses.get_account()["SendQuota"]["SentLast24Hours"] == 2.0


@pytest.mark.parametrize(
    ("account", "answer"),
    [
        ({"quota": 1, "used": 1}, (400, "Throttling", "Daily message quota exceeded.")),
        ({"sending_enabled": False}, (400, "AccountSendingPausedException", PAUSED)),
        ({"enforcement": "SHUTDOWN"}, (400, "MessageRejected", PAUSED)),
        (
            {"verified": []},
            (
                400,
                "MessageRejected",
                (
                    "Email address is not verified. The following identities failed the check in region US-EAST-1: "
                    "news@example.com"
                ),
            ),
        ),
    ],
)
def test_the_account_refuses_with_v1s_codes(
    v1: Ses, simulator: Simulator, account: dict[str, Any], answer: tuple[int, str, str]
) -> None:
    simulator.set_account(**account)

    assert refused(v1.send_email, **mail()) == answer


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"Destination": {"ToAddresses": ["ann"]}}, "InvalidParameterValue", "Missing final '@domain'"),
        ({"Destination": {"ToAddresses": []}}, "InvalidParameterValue", "Missing required header 'To'."),
        (
            {"Destination": {"ToAddresses": [f"r{number}@example.com" for number in range(51)]}},
            "InvalidParameterValue",
            "Recipient count exceeds 50.",
        ),
        (
            {"ConfigurationSetName": "none"},
            "ConfigurationSetDoesNotExist",
            "Configuration set <none> does not exist.",
        ),
        (
            {"Source": None},
            "ValidationError",
            "1 validation error detected: Value at 'source' failed to satisfy constraint: Member must not be null",
        ),
    ],
)
def test_a_wrong_mail_is_refused_with_v1s_codes(v1: Ses, changes: dict[str, Any], code: str, text: str) -> None:
    call = {name: value for name, value in mail(**changes).items() if value is not None}

    assert refused(v1.send_email, **call) == (400, code, text)


def test_ten_megabytes_are_the_most(v1: Ses, simulator: Simulator) -> None:
    large = RAW + b"x" * (10 * 1024 * 1024)

    status, code, text = refused(v1.send_raw_email, RawMessage={"Data": large})

    assert (status, code) == (400, "InvalidParameterValue")
    assert text == f"Message length is more than 10485760 bytes long: '{len(large)}'."
    v1.send_raw_email(RawMessage={"Data": large[: 10 * 1024 * 1024]})


def test_templates_are_shared_with_v2(v1: Ses, ses: Ses, simulator: Simulator) -> None:
    v1.create_template(Template={"TemplateName": "welcome", "SubjectPart": "Hello {{name}}", "TextPart": "x"})
    v1.send_templated_email(
        Source="news@example.com",
        Destination={"ToAddresses": ["ann@example.com"]},
        Template="welcome",
        TemplateData='{"name": "Ann"}',
    )

    assert simulator.messages(fields="subject") == [{"subject": "Hello Ann"}]
    assert ses.get_email_template(TemplateName="welcome")["TemplateContent"]["Subject"] == "Hello {{name}}"
    assert refused(v1.create_template, Template={"TemplateName": "welcome", "TextPart": "x"})[1] == "AlreadyExists"
    assert refused(v1.create_template, Template={"TemplateName": "b", "TextPart": "{{#if}}"})[1] == "InvalidTemplate"
    v1.update_template(Template={"TemplateName": "welcome", "TextPart": "Dear {{name}}"})
    assert v1.get_template(TemplateName="welcome")["Template"] == {
        "TemplateName": "welcome",
        "TextPart": "Dear {{name}}",
    }
    assert [each["Name"] for each in v1.list_templates()["TemplatesMetadata"]] == ["welcome"]
    v1.delete_template(TemplateName="welcome")
    assert refused(v1.get_template, TemplateName="welcome")[1:] == (
        "TemplateDoesNotExist",
        "Template welcome does not exist.",
    )


def test_a_rendering_can_be_tried_and_says_what_is_missing(v1: Ses) -> None:
    v1.create_template(Template={"TemplateName": "t", "SubjectPart": "Hello {{name}}", "TextPart": "\x0bx"})

    rendered = v1.test_render_template(TemplateName="t", TemplateData='{"name": "A & <B>"}')["RenderedTemplate"]
    assert "Subject: Hello A & <B>\r\n" in rendered
    assert refused(v1.test_render_template, TemplateName="t", TemplateData="{}")[1] == "MissingRenderingAttribute"
    assert refused(v1.test_render_template, TemplateName="t", TemplateData="x")[1] == "InvalidRenderingParameter"


def test_a_bulk_send_has_statuses_in_v1s_words(v1: Ses, simulator: Simulator) -> None:
    v1.create_template(Template={"TemplateName": "t", "TextPart": "x"})
    simulator.add_fault("error", error="configuration-set", recipient="cy@")
    simulator.add_fault("error", error="daily-quota", recipient="di@")
    names = ("ann@example.com", "bob", "cy@example.com", "di@example.com")

    sent = v1.send_bulk_templated_email(
        Source="news@example.com",
        Template="t",
        DefaultTemplateData="{}",
        Destinations=[{"Destination": {"ToAddresses": [name]}} for name in names],
    )["Status"]

    assert [each["Status"] for each in sent] == [
        "Success",
        "InvalidParameterValue",
        "ConfigurationSetDoesNotExist",
        "AccountDailyQuotaExceeded",
    ]
    assert "MessageId" in sent[0]
    assert sent[1]["Error"] == "Missing final '@domain'"


def test_statistics_come_by_the_quarter_of_an_hour(v1: Ses, simulator: Simulator) -> None:
    simulator.freeze_clock()
    assert v1.get_send_statistics()["SendDataPoints"] == []
    now = simulator.request("GET", "/_sim/clock")["now"]
    simulator.advance_clock(900 - now % 900)
    v1.send_email(**mail("ann@example.com", "bob@example.com"))
    simulator.advance_clock(899)
    v1.send_email(**mail())
    simulator.advance_clock(1)
    v1.send_email(**mail("bounce@simulator.amazonses.com"))

    points = v1.get_send_statistics()["SendDataPoints"]
    assert [point["DeliveryAttempts"] for point in points] == [3, 1]
    assert [point["Bounces"] for point in points] == [0, 1]
    assert points[0]["Timestamp"].astimezone(UTC) == datetime.fromtimestamp(now + 900 - now % 900, UTC).replace(
        microsecond=0
    )
    simulator.advance_clock(14 * 24 * 3600)
    assert v1.get_send_statistics()["SendDataPoints"] == []


def test_identities_are_verified_and_listed(v1: Ses, simulator: Simulator) -> None:
    simulator.set_account(verified=["given.example"])
    for _ in range(2):
        v1.verify_email_identity(EmailAddress="ann@example.com")
    v1.verify_email_address(EmailAddress="bob@example.com")
    assert v1.verify_domain_identity(Domain="made.example")["VerificationToken"]

    assert v1.list_identities()["Identities"] == [
        "ann@example.com",
        "bob@example.com",
        "given.example",
        "made.example",
    ]
    assert v1.list_identities(IdentityType="Domain")["Identities"] == ["given.example", "made.example"]
    first = v1.list_identities(MaxItems=3)
    assert v1.list_identities(MaxItems=3, NextToken=first["NextToken"])["Identities"] == ["made.example"]
    assert v1.list_verified_email_addresses()["VerifiedEmailAddresses"] == ["ann@example.com", "bob@example.com"]
    attributes = v1.get_identity_verification_attributes(Identities=["ann@example.com", "no@example.com"])
    assert attributes["VerificationAttributes"] == {"ann@example.com": {"VerificationStatus": "Success"}}
    v1.delete_identity(Identity="given.example")
    v1.delete_verified_email_address(EmailAddress="bob@example.com")
    assert v1.list_identities()["Identities"] == ["ann@example.com", "made.example"]
    assert refused(v1.verify_email_identity, EmailAddress="nobody") == (
        400,
        "InvalidParameterValue",
        "Invalid email address<nobody>.",
    )


def test_configuration_sets_and_the_pause_are_shared_with_v2(v1: Ses, ses: Ses) -> None:
    v1.create_configuration_set(ConfigurationSet={"Name": "news"})
    assert v1.list_configuration_sets()["ConfigurationSets"] == [{"Name": "main"}, {"Name": "news"}]
    assert refused(v1.create_configuration_set, ConfigurationSet={"Name": "news"})[1] == "ConfigurationSetAlreadyExists"
    v1.update_configuration_set_sending_enabled(ConfigurationSetName="news", Enabled=False)
    assert refused(v1.send_email, **mail(ConfigurationSetName="news"))[1] == "ConfigurationSetSendingPausedException"
    v1.delete_configuration_set(ConfigurationSetName="news")
    assert refused(v1.describe_configuration_set, ConfigurationSetName="news")[1] == "ConfigurationSetDoesNotExist"

    v1.update_account_sending_enabled(Enabled=False)
    assert v1.get_account_sending_enabled()["Enabled"] is False
    assert ses.get_account()["SendingEnabled"] is False


def test_the_quota_may_be_asked_once_a_second(v1: Ses, simulator: Simulator) -> None:
    simulator.freeze_clock()
    simulator.set_account(control_rate=1)
    v1.get_send_quota()

    assert refused(v1.get_send_quota) == (400, "Throttling", "Rate exceeded")
    simulator.advance_clock(1)
    v1.get_send_quota()


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        ("throttle", 400, "Throttling"),
        ("access-denied", 403, "AccessDenied"),
        ("expired-token", 403, "ExpiredToken"),
        ("bad-signature", 403, "SignatureDoesNotMatch"),
        ("limit", 400, "LimitExceeded"),
        ("mail-from", 400, "MailFromDomainNotVerifiedException"),
        ("internal", 500, "InternalFailure"),
        ("unavailable", 503, "ServiceUnavailable"),
    ],
)
def test_a_fault_speaks_v1(v1: Ses, simulator: Simulator, error: str, status: int, code: str) -> None:
    simulator.add_fault("error", error=error)

    assert refused(v1.send_email, **mail())[:2] == (status, code)


def test_a_malformed_answer_is_no_xml(v1: Ses, simulator: Simulator) -> None:
    simulator.add_fault("malformed", count=1)

    with pytest.raises(ResponseParserError):
        v1.send_email(**mail())

    assert len(simulator.messages()) == 1


def test_signatures_are_checked_there_too() -> None:
    with Simulator(smtp=False, secret=f"AKIDEXAMPLE:{SECRET}") as simulator:
        open_v1(simulator.url).send_email(**mail())

        assert refused(open_v1(simulator.url, secret="x").send_email, **mail())[:2] == (403, "SignatureDoesNotMatch")
        assert refused(open_v1(simulator.url, key="x").send_email, **mail())[:2] == (403, "InvalidClientTokenId")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "InvalidAction"),
        (b"\xff\xfe", 400, "MalformedInput"),
        (b"Action=Nonsense&Version=2010-12-01", 400, "InvalidAction"),
        (b"Action=SendEmail", 400, "ValidationError"),
        (b"Action=SendEmail&Action.x=1", 400, "MalformedInput"),
        (b"Action=SendEmail&a.b=1&a=2", 400, "MalformedInput"),
        (b"Action=UpdateAccountSendingEnabled&Enabled.x=1", 400, "MalformedInput"),
        (b"Action=ListIdentities&MaxItems.x=1", 400, "MalformedInput"),
        (b"Action=SendEmail&" + b"a.b.c.d.e.f.g.h.i.j.k.l=1", 400, "MalformedInput"),
        (b"&".join(b"f%d=1" % number for number in range(6000)), 400, "MalformedInput"),
        (
            urlencode(
                {"Action": "SendEmail", "Source": "a@b.co", "Destination": "x", "Message.Subject.Data": "s"}
            ).encode(),
            400,
            "MalformedInput",
        ),
        (urlencode({"Action": "SendRawEmail", "RawMessage.Data": "no base64!"}).encode(), 400, "MalformedInput"),
    ],
)
def test_a_form_that_cannot_be_read_is_refused(simulator: Simulator, body: bytes, status: int, code: str) -> None:
    address = urlsplit(simulator.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    connection.request("POST", "/", body)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()

    assert response.status == status
    assert f"<Code>{code}</Code>" in text
    assert f"<RequestId>{response.headers['x-amzn-RequestId']}</RequestId>" in text
    assert response.headers["content-type"] == "text/xml"
    assert simulator.stats()["accepted"] == 0
