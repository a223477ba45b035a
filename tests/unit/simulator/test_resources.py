"""Identities, configuration sets and the suppression list, over the v2 API."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from mailer.simulator.client import Simulator
from tests.unit.simulator.conftest import Ses, mail

Refusal = Callable[..., tuple[int, str, str]]


def get(simulator: Simulator, path: str) -> Any:
    """As a client from before the paths moved."""
    address = urlsplit(simulator.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    connection.request("GET", path)
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    assert response.status == 200
    return answer


def test_an_identity_is_verified_when_it_is_made(ses: Ses, simulator: Simulator, refusal: Refusal) -> None:
    simulator.set_account(verified=[])
    assert refusal(**mail())[1] == "MessageRejected"

    made = ses.create_email_identity(EmailIdentity="example.com")

    assert made["IdentityType"] == "DOMAIN"
    assert len(made["DkimAttributes"]["Tokens"]) == 3
    ses.send_email(**mail())
    ses.delete_email_identity(EmailIdentity="example.com")
    assert refusal(**mail())[1] == "MessageRejected"


def test_identities_are_read_and_listed_at_both_paths(ses: Ses, simulator: Simulator) -> None:
    simulator.set_account(verified=["given.example"])
    ses.create_email_identity(EmailIdentity="ann@Example.com")

    listed = ses.list_email_identities()["EmailIdentities"]
    assert [(each["IdentityName"], each["IdentityType"]) for each in listed] == [
        ("ann@example.com", "EMAIL_ADDRESS"),
        ("given.example", "DOMAIN"),
    ]
    assert get(simulator, "/v2/email/identities?PageSize=1")["EmailIdentities"] == listed[:1]
    found = ses.get_email_identity(EmailIdentity="ann@example.com")
    assert (found["VerifiedForSendingStatus"], found["VerificationStatus"]) == (True, "SUCCESS")


def test_an_identity_is_made_once_and_must_be_there_to_be_read(ses: Ses) -> None:
    ses.create_email_identity(EmailIdentity="example.com")
    with pytest.raises(ses.exceptions.AlreadyExistsException, match=r"Email identity example\.com already exist\."):
        ses.create_email_identity(EmailIdentity="EXAMPLE.com")
    for call in (ses.get_email_identity, ses.delete_email_identity):
        with pytest.raises(ses.exceptions.NotFoundException):
            call(EmailIdentity="else.example")
    for wrong in ("a b@example.com", "no_domain", "-.example"):
        with pytest.raises(ses.exceptions.BadRequestException):
            ses.create_email_identity(EmailIdentity=wrong)


def test_what_is_nested_too_deeply_is_refused(ses: Ses) -> None:
    deep: Any = "x"
    for _ in range(600):
        deep = [deep]
    with pytest.raises(ses.exceptions.ClientError, match="nested too deeply"):
        ses.create_email_identity(EmailIdentity="example.com", Tags=[{"Key": "k", "Value": deep}])


def test_in_the_sandbox_identities_may_receive(ses: Ses, simulator: Simulator, refusal: Refusal) -> None:
    simulator.set_account(sandbox=True)
    assert refusal(**mail("me@elsewhere.example"))[1] == "MessageRejected"

    ses.create_email_identity(EmailIdentity="me@elsewhere.example")

    ses.send_email(**mail("me@elsewhere.example"))


def test_a_configuration_set_must_be_there(ses: Ses, refusal: Refusal) -> None:
    missing = (404, "NotFoundException", "Configuration set <news> does not exist.")
    assert refusal(**mail(ConfigurationSetName="news")) == missing

    ses.create_configuration_set(ConfigurationSetName="news", Tags=[{"Key": "k", "Value": "v"}])

    ses.send_email(**mail(ConfigurationSetName="news"))
    found = ses.get_configuration_set(ConfigurationSetName="news")
    assert (found["SendingOptions"], found["Tags"]) == ({"SendingEnabled": True}, [{"Key": "k", "Value": "v"}])
    ses.delete_configuration_set(ConfigurationSetName="news")
    assert refusal(**mail(ConfigurationSetName="news")) == missing
    for call in (ses.get_configuration_set, ses.delete_configuration_set):
        with pytest.raises(ses.exceptions.NotFoundException, match="Configuration set <news> does not exist"):
            call(ConfigurationSetName="news")


def test_a_paused_configuration_set_sends_nothing(ses: Ses, refusal: Refusal) -> None:
    ses.put_configuration_set_sending_options(ConfigurationSetName="main", SendingEnabled=False)

    assert refusal(**mail(ConfigurationSetName="main"))[:2] == (400, "SendingPausedException")
    ses.send_email(**mail())


def test_configuration_sets_are_listed_at_both_paths_in_pages(ses: Ses, simulator: Simulator) -> None:
    for name in ("b", "a"):
        ses.create_configuration_set(ConfigurationSetName=name)
    with pytest.raises(ses.exceptions.AlreadyExistsException, match="Configuration set a already exists"):
        ses.create_configuration_set(ConfigurationSetName="a")

    first = ses.list_configuration_sets(PageSize=2)
    second = ses.list_configuration_sets(PageSize=2, NextToken=first["NextToken"])
    assert (first["ConfigurationSets"], second["ConfigurationSets"]) == (["a", "b"], ["main"])
    assert "NextToken" not in second
    assert get(simulator, "/v2/email/configuration-sets") == {"ConfigurationSets": ["a", "b", "main"]}
    for wrong in ("a b", "", "x" * 65):
        with pytest.raises(ses.exceptions.BadRequestException):
            ses.create_configuration_set(ConfigurationSetName=wrong)


def test_a_suppressed_recipient_is_taken_counted_and_not_sent_to(ses: Ses, simulator: Simulator) -> None:
    ses.put_suppressed_destination(EmailAddress="Ann@EXAMPLE.com", Reason="BOUNCE")

    ses_id = ses.send_email(**mail("Ann@example.com"))["MessageId"]

    assert simulator.account()["used"] == 1
    events = simulator.request("GET", "/_sim/events", query={"ses_id": ses_id, "type": "Bounce"})["events"]
    assert events[0]["event"]["bounce"]["bounceSubType"] == "OnAccountSuppressionList"


def test_the_suppression_list_is_by_exact_local_part_and_any_case_of_domain(ses: Ses) -> None:
    ses.put_suppressed_destination(EmailAddress="a+b@Example.COM", Reason="COMPLAINT")

    found = ses.get_suppressed_destination(EmailAddress="a+b@example.com")["SuppressedDestination"]
    assert (found["EmailAddress"], found["Reason"]) == ("a+b@example.com", "COMPLAINT")
    with pytest.raises(ses.exceptions.NotFoundException, match=r"A\+b@example\.com does not exist on your suppression"):
        ses.get_suppressed_destination(EmailAddress="A+b@example.com")
    ses.delete_suppressed_destination(EmailAddress="a+b@example.com")
    with pytest.raises(ses.exceptions.NotFoundException):
        ses.delete_suppressed_destination(EmailAddress="a+b@example.com")


def test_the_suppression_list_is_filtered_and_paged(ses: Ses, simulator: Simulator) -> None:
    simulator.freeze_clock()
    start = datetime.fromtimestamp(simulator.request("GET", "/_sim/clock")["now"], UTC)
    for number in range(6):
        reason = "BOUNCE" if number % 2 else "COMPLAINT"
        ses.put_suppressed_destination(EmailAddress=f"r{number}@example.com", Reason=reason)
        simulator.advance_clock(60)

    def listed(**filters: Any) -> list[str]:
        page = ses.list_suppressed_destinations(**filters)
        return [each["EmailAddress"][1] for each in page["SuppressedDestinationSummaries"]]

    assert listed() == list("012345")
    assert listed(Reasons=["BOUNCE"]) == list("135")
    assert listed(Reasons=["BOUNCE", "COMPLAINT"]) == list("012345")
    assert listed(StartDate=start + timedelta(seconds=90), EndDate=start + timedelta(seconds=250)) == list("234")
    first = ses.list_suppressed_destinations(PageSize=4)
    assert listed(PageSize=4, NextToken=first["NextToken"]) == list("45")
    with pytest.raises(ses.exceptions.InvalidNextTokenException):
        ses.list_suppressed_destinations(NextToken="nonsense")
    for wrong in ({"Reasons": ["SPAM"]}, {"PageSize": 0}, {"PageSize": 1001}):
        with pytest.raises(ses.exceptions.BadRequestException):
            ses.list_suppressed_destinations(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"EmailAddress": "a@example.com", "Reason": "SPAM"},
        {"EmailAddress": "a@example.com"},
        {"Reason": "BOUNCE"},
        {"EmailAddress": "nobody", "Reason": "BOUNCE"},
    ],
)
def test_a_wrong_suppression_is_refused(ses: Ses, wrong: dict[str, str]) -> None:
    with pytest.raises(ses.exceptions.BadRequestException):
        ses.put_suppressed_destination(**wrong)

    assert ses.list_suppressed_destinations()["SuppressedDestinationSummaries"] == []


def test_the_sandbox_has_no_suppression_list(ses: Ses, simulator: Simulator) -> None:
    simulator.set_account(sandbox=True)

    with pytest.raises(ses.exceptions.BadRequestException, match="sandbox"):
        ses.put_suppressed_destination(EmailAddress="a@example.com", Reason="BOUNCE")


def test_the_reasons_to_suppress_are_the_accounts(ses: Ses, simulator: Simulator) -> None:
    ses.put_suppressed_destination(EmailAddress="ann@example.com", Reason="BOUNCE")
    ses.put_account_suppression_attributes(SuppressedReasons=["COMPLAINT"])

    assert ses.get_account()["SuppressionAttributes"] == {"SuppressedReasons": ["COMPLAINT"]}
    ses_id = ses.send_email(**mail())["MessageId"]
    assert simulator.request("GET", "/_sim/events", query={"ses_id": ses_id, "type": "Bounce"})["events"] == []


def test_the_owner_pauses_and_resumes_the_account(ses: Ses, refusal: Refusal) -> None:
    ses.put_account_sending_attributes(SendingEnabled=False)
    assert refusal(**mail())[1] == "SendingPausedException"
    assert ses.get_account()["SendingEnabled"] is False

    ses.put_account_sending_attributes(SendingEnabled=True)
    ses.send_email(**mail())


def test_each_control_call_has_a_limit_of_its_own(ses: Ses, simulator: Simulator) -> None:
    simulator.freeze_clock()
    simulator.set_account(control_rate=1)
    ses.create_email_template(TemplateName="t", TemplateContent={"Text": "x"})
    ses.list_email_templates()
    ses.get_account()
    for call in (ses.list_email_templates, ses.get_account):
        with pytest.raises(ses.exceptions.TooManyRequestsException, match="Rate exceeded"):
            call()
    ses.get_email_template(TemplateName="t")

    simulator.advance_clock(0.02)
    ses.get_email_template(TemplateName="t")
    with pytest.raises(ses.exceptions.TooManyRequestsException):
        ses.get_account()


def test_faults_of_the_account_strike_every_control_call(ses: Ses, simulator: Simulator) -> None:
    simulator.add_fault("error", error="unavailable", operation="account", count=2)

    for call in (ses.list_configuration_sets, ses.list_email_identities):
        with pytest.raises(ses.exceptions.ClientError, match="Service Unavailable"):
            call()
    ses.list_configuration_sets()
