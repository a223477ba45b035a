"""Mail from templates, over the v2 API: stored or in the call, and what happens when a value is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from mailer.simulator.client import Simulator
from tests.unit.simulator.conftest import Ses, mail, open_ses

Refusal = Callable[..., tuple[int, str, str]]

WELCOME = {"Subject": "Hello {{name}}", "Text": "Dear {{name}}.", "Html": "<p>Dear {{name}}.</p>"}


def templated(template: dict[str, Any], data: dict[str, Any] | None = None) -> dict[str, Any]:
    given = {} if data is None else {"TemplateData": json.dumps(data)}
    return mail(Content={"Template": {**template, **given}})


@pytest.fixture
def welcome(ses: Ses) -> str:
    ses.create_email_template(TemplateName="welcome", TemplateContent=WELCOME)
    return "welcome"


@pytest.mark.parametrize(
    "template",
    [
        {"TemplateName": "welcome"},
        {"TemplateArn": "arn:aws:ses:us-east-1:123456789012:template/welcome"},
        {"TemplateContent": WELCOME},
    ],
    ids=["by name", "by ARN", "in the call"],
)
def test_a_mail_is_made_of_a_template(ses: Ses, simulator: Simulator, welcome: str, template: dict[str, Any]) -> None:
    ses_id = ses.send_email(**templated(template, {"name": "Ann"}))["MessageId"]

    message = simulator.message(ses_id)
    assert (message["subject"], message["text"], message["html"]) == ("Hello Ann", "Dear Ann.", "<p>Dear Ann.</p>")
    assert message["rendering_failure"] is None


def test_headers_and_attachments_stay_with_the_rendered_mail(ses: Ses, simulator: Simulator) -> None:
    call = templated({"TemplateContent": {"Text": "Hi."}})
    call["Content"]["Template"] |= {
        "Headers": [{"Name": "X-Campaign", "Value": "spring"}],
        "Attachments": [{"FileName": "a.txt", "RawContent": b"a"}],
    }

    message = simulator.message(ses.send_email(**call)["MessageId"])

    assert ["X-Campaign", "spring"] in message["headers"]
    assert message["attachments"][0]["filename"] == "a.txt"


def test_a_missing_value_is_accepted_charged_and_told_by_an_event(ses: Ses, simulator: Simulator, welcome: str) -> None:
    ses_id = ses.send_email(**templated({"TemplateName": welcome}, {"nome": "Ann"}))["MessageId"]

    text = "Attribute 'name' is not present in the rendering data."
    assert simulator.account()["used"] == 1
    assert simulator.message(ses_id)["rendering_failure"] == {"template": "welcome", "text": text}
    events = simulator.request("GET", "/_sim/events", query={"ses_id": ses_id})["events"]
    assert [each["event"]["eventType"] for each in events] == ["Rendering Failure"]
    assert events[0]["event"]["failure"] == {"templateName": "welcome", "errorMessage": text}


def test_a_template_that_is_not_there_is_not_found(refusal: Refusal) -> None:
    assert refusal(**templated({"TemplateName": "none"}, {})) == (
        404,
        "NotFoundException",
        "Template none does not exist.",
    )


@pytest.mark.parametrize("data", ["", "x", "[]", "1", "{"])
def test_data_that_are_no_json_object_are_refused(refusal: Refusal, data: str) -> None:
    call = templated({"TemplateContent": WELCOME})
    call["Content"]["Template"]["TemplateData"] = data or "null"

    assert refusal(**call) == (400, "BadRequestException", "The template data is invalid")


def test_templates_are_kept_read_changed_and_deleted(ses: Ses, simulator: Simulator) -> None:
    ses.create_email_template(TemplateName="a", TemplateContent={"Subject": "one"})
    with pytest.raises(ses.exceptions.AlreadyExistsException, match="Template a already exists"):
        ses.create_email_template(TemplateName="a", TemplateContent={"Subject": "two"})
    ses.update_email_template(TemplateName="a", TemplateContent={"Subject": "three", "Text": "t"})

    found = ses.get_email_template(TemplateName="a")
    assert found["TemplateContent"] == {"Subject": "three", "Text": "t"}
    ses.delete_email_template(TemplateName="a")
    for call in (ses.get_email_template, ses.delete_email_template):
        with pytest.raises(ses.exceptions.NotFoundException, match="Template a does not exist"):
            call(TemplateName="a")
    with pytest.raises(ses.exceptions.NotFoundException):
        ses.update_email_template(TemplateName="a", TemplateContent={"Subject": "x"})


def test_templates_are_listed_newest_first_in_pages(ses: Ses, simulator: Simulator) -> None:
    for number in range(25):
        ses.create_email_template(TemplateName=f"t{number}", TemplateContent={"Text": "x"})
        simulator.advance_clock(1)

    names, token = [], None
    while True:
        page = ses.list_email_templates(**({} if token is None else {"NextToken": token}))
        names.append([each["TemplateName"] for each in page["TemplatesMetadata"]])
        token = page.get("NextToken")
        if token is None:
            break

    assert [len(page) for page in names] == [10, 10, 5]
    assert [name for page in names for name in page] == [f"t{number}" for number in reversed(range(25))]
    with pytest.raises(ses.exceptions.BadRequestException, match="page size must be between 1 and 100"):
        ses.list_email_templates(PageSize=101)
    with pytest.raises(ses.exceptions.BadRequestException, match="Invalid PageToken <nonsense>"):
        ses.list_email_templates(NextToken="nonsense")


@pytest.mark.parametrize("content", [{}, {"Text": " "}, {"Text": "{{#if x}}"}, {"Html": "x" * 600_000}])
def test_what_cannot_be_a_template_is_not_kept(ses: Ses, content: dict[str, str]) -> None:
    with pytest.raises(ses.exceptions.BadRequestException):
        ses.create_email_template(TemplateName="a", TemplateContent=content)

    assert ses.list_email_templates()["TemplatesMetadata"] == []


def test_a_rendering_can_be_tried_without_sending(ses: Ses, simulator: Simulator, welcome: str) -> None:
    rendered = ses.test_render_email_template(TemplateName=welcome, TemplateData='{"name": "Änn"}')["RenderedTemplate"]

    assert "Subject: Hello Änn\r\n" in rendered
    assert "Content-Type: text/html" in rendered
    with pytest.raises(ses.exceptions.BadRequestException, match="Attribute 'name' is not present"):
        ses.test_render_email_template(TemplateName=welcome, TemplateData="{}")
    assert simulator.stats()["accepted"] == 0


def test_each_region_has_templates_of_its_own(simulator: Simulator, welcome: str) -> None:
    frankfurt = open_ses(simulator.url, region="eu-central-1")
    assert frankfurt.list_email_templates()["TemplatesMetadata"] == []
