"""Another web page reaches nothing of the simulator, by any path and method; AWS's clients reach all of it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

import boto3
import pytest
from botocore.config import Config

from mailer.simulator.client import Simulator
from tests.unit.simulator.conftest import Ses, mail, open_ses

SEND = ("POST", "/v2/email/outbound-emails", json.dumps(mail()), {"Content-Type": "text/plain"})
V1 = urlencode(
    {
        "Action": "SendEmail",
        "Source": "news@example.com",
        "Destination.ToAddresses.member.1": "ann@example.com",
        "Message.Subject.Data": "Hello",
        "Message.Body.Text.Data": "Hello.",
    }
)
QUEUE = {"X-Amz-Target": "AmazonSQS.CreateQueue", "Content-Type": "application/x-amz-json-1.0"}
REQUESTS: list[tuple[str, str, str, dict[str, str]]] = [
    SEND,
    ("POST", "/", V1, {"Content-Type": "application/x-www-form-urlencoded"}),
    ("POST", "/", json.dumps({"QueueName": "stolen"}), QUEUE),
    ("PUT", "/v2/email/account/sending", json.dumps({"SendingEnabled": False}), {}),
    ("GET", "/v2/email/account", "", {}),
    ("POST", "/_sim/reset", "", {}),
    ("POST", "/_sim/faults", json.dumps({"kind": "reset"}), {}),
    ("DELETE", "/_sim/messages", "", {}),
    ("GET", "/_sim/messages", "", {}),
    ("GET", "/_sim/sns?Action=Unsubscribe&SubscriptionArn=x", "", {}),
    ("GET", "/_sim/ui/app.js", "", {}),
    ("GET", "/?x", "", {}),
    ("OPTIONS", "/v2/email/outbound-emails", "", {"Access-Control-Request-Method": "POST"}),
    ("HEAD", "/_sim/messages", "", {}),
]
FOREIGN: list[dict[str, str]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    {"Host": "evil.example:9025"},
    {"Host": "0.0.0.0"},  # noqa: S104 - browsers connect to loopback by it
]


def asked(
    url: str, method: str, path: str, body: str = "", headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    connection.request(method, path, body or None, headers or {})
    answer = connection.getresponse()
    found = (answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    connection.close()
    return found


@pytest.fixture(scope="module")
def remote() -> Iterator[Simulator]:
    """One that others may reach, under a name of its own."""
    with Simulator(
        host="0.0.0.0",  # noqa: S104 - what containers do
        allow_remote=True,
        allow_host=["simulator", "192.0.2.1"],
        smtp=False,
        rate=1000,
        bucket=1000,
        control_rate=0,
    ) as simulator:
        yield simulator


@pytest.mark.parametrize("foreign", FOREIGN, ids=str)
@pytest.mark.parametrize("by", ["loopback", "remote"])
def test_another_page_reaches_nothing_by_any_path(
    simulator: Simulator, remote: Simulator, by: str, foreign: dict[str, str]
) -> None:
    reached = simulator if by == "loopback" else remote
    reached.reset()
    open_ses(reached.url).send_email(**mail("mine@example.com"))
    for method, path, body, headers in REQUESTS:
        status, given, text = asked(reached.url, method, path, body, headers | foreign)
        assert status == 403, (method, path)
        assert not [name for name in given if name.startswith("access-control-")]
        assert b"mine@example.com" not in text
    assert [message["to"] for message in reached.messages()] == [["mine@example.com"]]
    assert reached.faults() == []
    assert reached.account()["sending_enabled"] is True
    assert reached.destinations() == []


def test_no_answer_is_given_to_other_origins(simulator: Simulator) -> None:
    for method, path, body, headers in REQUESTS[:-2]:
        given = asked(simulator.url, method, path, body, headers)[1]
        assert not [name for name in given if name.startswith("access-control-")], path


@pytest.mark.parametrize("host", ["simulator:9025", "SIMULATOR", "192.0.2.1:9025", "localhost:9025", "[::1]:9025"])
def test_the_names_that_were_given_are_answered_and_no_other(remote: Simulator, host: str) -> None:
    assert asked(remote.url, *SEND[:3], {"Host": host})[0] == 200
    name = host.partition(":")[0].strip("[]")
    status, _, text = asked(remote.url, *SEND[:3], {"Host": f"{name}.evil.example"})
    assert status == 403
    assert b"--allow-host" in text


def test_a_name_is_refused_in_the_words_of_each_api(remote: Simulator) -> None:
    def refused(service: str, call: str, **given: Any) -> str:
        client = boto3.client(
            service,
            endpoint_url=remote.url,
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )
        client.meta.events.register(
            "before-send", lambda request, **_: request.headers.__setitem__("Host", "evil.example")
        )
        with pytest.raises(client.exceptions.ClientError) as caught:
            getattr(client, call)(**given)
        client.close()
        return str(caught.value)

    for service, call in (("sesv2", "get_account"), ("ses", "get_send_quota"), ("sqs", "list_queues")):
        told = refused(service, call)
        assert "AccessDenied" in told
        assert "evil.example is not a name of this service" in told


@pytest.mark.parametrize("host", ["email.us-east-1.amazonaws.com", "email.eu-west-1.amazonaws.com:443"])
def test_a_client_that_says_awss_own_name_is_served(simulator: Simulator, host: str) -> None:
    assert asked(simulator.url, *SEND[:3], {"Host": host})[0] == 200
    for other in ("evil.amazonaws.com", "email.us-east-1.amazonaws.com.evil.example", "bucket.s3.amazonaws.com"):
        assert asked(simulator.url, *SEND[:3], {"Host": other})[0] == 403


def test_a_link_leads_to_the_page_and_no_further(simulator: Simulator, ses: Ses) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert asked(simulator.url, "GET", "/", headers=link)[0] == 200
    assert asked(simulator.url, "GET", "/_sim/messages", headers=link)[0] == 403
    assert asked(simulator.url, "POST", "/", headers=link)[0] == 403


def test_two_host_headers_are_refused(simulator: Simulator) -> None:
    address = urlsplit(simulator.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    connection.putrequest("GET", "/_sim/messages", skip_host=True)
    connection.putheader("Host", "evil.example")
    connection.putheader("Host", "localhost")
    connection.endheaders()
    assert connection.getresponse().status == 400
    connection.close()


def test_subscribers_are_told_the_name_that_was_given(remote: Simulator) -> None:
    port = urlsplit(remote.url).port
    assert remote.url == f"http://127.0.0.1:{port}"
    assert remote.add_queue("told").startswith(f"http://simulator:{port}/")
