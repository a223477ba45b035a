"""What SES says about a request that it will never take."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from mailer.simulator.address import mailbox
from mailer.simulator.client import Simulator
from mailer.simulator.errors import Refused
from tests.unit.simulator.conftest import Ses, mail

Refusal = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("ann", "Missing final '@domain'"),
        ("ann@", "Missing domain"),
        ("", "Invalid email address ."),
        ("an n@example.com", "Local address contains control or whitespace"),
        ("ann@exam ple.com", "Domain contains control or whitespace"),
        ("ann@example_.com", "Domain contains illegal character"),
        ("ann@bücher.example", "Domain contains illegal character"),
        ("änn@example.com", "Local address contains illegal character"),
        ("ann@example.com, bob@example.com", "Illegal address"),
        ("@example.com", "Missing local name"),
        (".ann@example.com", "Local address starts with dot"),
        ("a..n@example.com", "Local address contains dot-dot"),
        ("ann@example..com", "Domain contains dot-dot"),
        ("ann@example.com.", "Domain ends with dot"),
        ("Ann <ann>", "Missing final '@domain'"),
        ("a" * 320 + "@b.co", "Address length is more than 320 characters long: '325'."),
    ],
)
def test_a_bad_address_is_refused_in_sess_words(refusal: Refusal, address: str, text: str) -> None:
    assert refusal(**mail(address)) == (400, "BadRequestException", text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ann@example.com", "ann@example.com"),
        ("Ann <ann@example.com>", "ann@example.com"),
        ('"Doe, Ann" <ann@example.com>', "ann@example.com"),
        ("Jürgen <j@example.com>", "j@example.com"),
        ("=?utf-8?q?J=C3=BCrgen?= <j@example.com>", "j@example.com"),
        ('"odd local"@example.com', '"odd local"@example.com'),
        ("a+b=c@xn--bcher-kva.example", "a+b=c@xn--bcher-kva.example"),
        ("<ann@example.com>", "ann@example.com"),
    ],
)
def test_a_good_address_is_taken_with_or_without_a_name(text: str, address: str) -> None:
    assert mailbox(text) == address


@pytest.mark.parametrize(
    "text", ["a\nb@example.com", "Ann\r\nBcc: x@y.example <ann@example.com>", '"a\tb"@example.com']
)
def test_no_control_character_gets_through_an_address(text: str) -> None:
    with pytest.raises(Refused):
        mailbox(text)


def test_fifty_recipients_are_the_most(ses: Ses, refusal: Refusal) -> None:
    addresses = [f"r{number}@example.com" for number in range(51)]
    ses.send_email(**mail(*addresses[:50]))

    assert refusal(**mail(*addresses)) == (400, "BadRequestException", "Recipient count exceeds 50.")


@pytest.mark.parametrize(
    "changes",
    [
        {"FromEmailAddress": None},
        {"FromEmailAddress": 5},
        {"FromEmailAddress": "nobody"},
        {"Destination": {}},
        {"Destination": {"ToAddresses": "ann@example.com"}},
        {"Destination": []},
        {"ReplyToAddresses": ["nobody"]},
        {"FeedbackForwardingEmailAddress": "nobody"},
        {"Content": {}},
        {"Content": None},
        {"Content": {"Simple": {"Body": {"Text": {"Data": "no subject"}}}}},
        {"Content": {"Simple": {"Subject": {"Data": "no body"}}}},
        {"Content": {"Simple": {"Subject": {}, "Body": {}}}},
        {"Content": {"Simple": {"Subject": {"Data": 7}, "Body": {}}}},
        {"Content": {"Raw": {"Data": "not base64!"}}},
        {"Content": {"Raw": {"Data": ""}}},
        {"Content": {"Template": {}}},
        {"Content": {"Template": {"TemplateName": "t", "TemplateContent": {"Text": "x"}}}},
        {"Content": {"Template": {"TemplateContent": {}}}},
        {"Content": {"Template": {"TemplateContent": {"Text": "{{#if x}}"}}}},
        {"Content": {"Template": {"TemplateContent": {"Text": "x"}, "TemplateData": "[]"}}},
        {"Content": {"Template": {"TemplateContent": {"Text": "x"}, "TemplateData": "{" + "x" * 262_144}}},
        {"EmailTags": [{"Name": "n", "Value": "a value"}]},
        {"EmailTags": [{"Name": "n"}]},
        {"EmailTags": {"Name": "n"}},
        {"EmailTags": [{"Name": "n" * 257, "Value": "v"}]},
        {"headers": [("X:Y", "v")]},
        {"headers": [("X-Y", "v\r\nBcc: x@y.example")]},
        {"headers": [("X-Y", "ü")]},
        {"headers": [("X" * 127, "v")]},
        {"headers": [("X", "v" * 996)]},
        {"headers": [("X" * 100, "v" * 900)]},
        {"headers": [(f"X-{number}", "v") for number in range(16)]},
    ],
    ids=lambda changes: json.dumps(changes)[:60],
)
def test_a_malformed_request_is_refused_and_not_recorded(
    simulator: Simulator, post: Callable[[bytes], tuple[int, dict[str, Any]]], changes: dict[str, Any]
) -> None:
    call = mail()
    headers = changes.pop("headers", None)
    call |= changes
    if headers is not None:
        call["Content"]["Simple"]["Headers"] = [{"Name": name, "Value": value} for name, value in headers]

    status, answer = post(json.dumps(call).encode())

    assert status == 400
    assert answer["message"]
    assert simulator.stats()["accepted"] == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'"text"', b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_refused(
    post: Callable[[bytes], tuple[int, dict[str, Any]]], body: bytes
) -> None:
    status, answer = post(body)

    assert status == 400
    assert "JSON" in answer["message"]


def test_forty_megabytes_are_the_most(
    simulator: Simulator, post: Callable[[bytes], tuple[int, dict[str, Any]]]
) -> None:
    call = mail()
    call["Content"]["Simple"]["Body"]["Text"]["Data"] = "x" * (40 * 1024 * 1024)

    status, answer = post(json.dumps(call).encode())

    assert status == 400
    assert answer["message"] == "Message length is more than 41943040 bytes long: '41943045'."
    assert simulator.stats()["accepted"] == 0


def test_an_unknown_operation_is_not_found(simulator: Simulator) -> None:
    address = urlsplit(simulator.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port)
    connection.request("GET", "/v2/email/nonsense")
    response = connection.getresponse()

    assert response.status == 404
    assert response.headers["x-amzn-ErrorType"] == "UnknownOperationException"
    assert response.headers["x-amzn-RequestId"]
    connection.close()


@pytest.fixture
def post(simulator: Simulator) -> Callable[[bytes], tuple[int, dict[str, Any]]]:
    """Sends a SendEmail body that no SDK would send."""
    address = urlsplit(simulator.url)

    def send(body: bytes) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
        connection.request("POST", "/v2/email/outbound-emails", body)
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        return response.status, answer

    return send
