"""Where events go: webhooks as signed SNS messages, and queues that SQS's own client polls."""

from __future__ import annotations

import base64
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography.exceptions import InvalidSignature

from mailer.simulator.client import Simulator, SimulatorError
from tests.unit.simulator.conftest import Ses, mail, open_ses
from tests.unit.simulator.webhook import Endpoint, until, verify

Sqs = Any


def open_sqs(simulator: Simulator) -> Sqs:
    return boto3.client(
        "sqs", endpoint_url=simulator.url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def sqs(simulator: Simulator) -> Sqs:
    return open_sqs(simulator)


def confirmed(simulator: Simulator) -> bool:
    return all(each["confirmed"] for each in simulator.destinations())


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_webhook_is_asked_to_confirm_and_then_gets_signed_events(
    ses: Ses, simulator: Simulator, endpoint: Endpoint, version: str
) -> None:
    simulator.add_webhook(endpoint.url, signature_version=version)
    until(lambda: confirmed(simulator))
    ses.send_email(**mail("bounce@simulator.amazonses.com"))

    confirmation, sent, bounced = endpoint.wait(3)
    for envelope in (confirmation, sent, bounced):
        assert envelope["SignatureVersion"] == version
        verify(envelope)
    assert confirmation["Type"] == "SubscriptionConfirmation"
    assert bounced["Type"] == "Notification"
    assert bounced["Subject"] == "Amazon SES Email Event Notification"
    assert bounced["TopicArn"] == "arn:aws:sns:us-east-1:123456789012:ses-events"
    assert json.loads(sent["Message"])["eventType"] == "Send"
    assert json.loads(bounced["Message"])["bounce"]["bounceType"] == "Permanent"
    headers, _ = endpoint.posts[2]
    assert headers["x-amz-sns-message-type"] == "Notification"
    assert headers["x-amz-sns-message-id"] == bounced["MessageId"]
    assert headers["x-amz-sns-topic-arn"] == bounced["TopicArn"]
    assert headers["x-amz-sns-subscription-arn"].startswith(bounced["TopicArn"] + ":")
    assert headers["content-type"] == "text/plain; charset=UTF-8"


def test_a_changed_message_does_not_verify(ses: Ses, simulator: Simulator, endpoint: Endpoint) -> None:
    simulator.add_webhook(endpoint.url)
    until(lambda: confirmed(simulator))
    ses.send_email(**mail())
    envelope = endpoint.wait(2)[1]

    with pytest.raises(InvalidSignature):
        verify(envelope | {"Message": envelope["Message"].replace("news@", "evil@")})


def test_openssl_agrees_with_the_signature(simulator: Simulator, endpoint: Endpoint, tmp_path: Path) -> None:
    """Checked by somebody else's code than ours."""
    simulator.add_webhook(endpoint.url, signature_version="2")
    (envelope,) = endpoint.wait(1)

    with urllib.request.urlopen(envelope["SigningCertURL"], timeout=30) as answer:  # noqa: S310 - loopback
        (tmp_path / "certificate.pem").write_bytes(answer.read())
    names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    (tmp_path / "text").write_bytes("".join(f"{name}\n{envelope[name]}\n" for name in names).encode())
    (tmp_path / "signature").write_bytes(base64.b64decode(envelope["Signature"]))
    openssl = ["openssl", "x509", "-in", "certificate.pem", "-pubkey", "-noout"]
    key = subprocess.run(openssl, cwd=tmp_path, capture_output=True, check=True).stdout
    (tmp_path / "key.pem").write_bytes(key)
    command = ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "text"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout == b"Verified OK\n"


def test_what_comes_before_the_confirmation_is_lost(ses: Ses, simulator: Simulator) -> None:
    with Endpoint(confirm=False) as endpoint:
        simulator.add_webhook(endpoint.url)
        (confirmation,) = endpoint.wait(1)
        ses.send_email(**mail("early@example.com"))
        wrong = confirmation["SubscribeURL"].replace("Token=", "Token=0")
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(wrong, timeout=30)  # noqa: S310 - loopback
        verify(confirmation)

        with urllib.request.urlopen(confirmation["SubscribeURL"], timeout=30) as answer:  # noqa: S310 - loopback
            assert b"<ConfirmSubscriptionResult><SubscriptionArn>arn:aws:sns:" in answer.read()
        ses.send_email(**mail("late@example.com"))

        first = json.loads(endpoint.wait(2)[1]["Message"])
        assert first["mail"]["destination"] == ["late@example.com"]


def test_a_raw_webhook_gets_the_bare_event(ses: Ses, simulator: Simulator, endpoint: Endpoint) -> None:
    simulator.add_webhook(endpoint.url, raw=True, confirm=False, events=["Delivery"])
    ses.send_email(**mail())

    assert endpoint.wait(1)[0]["eventType"] == "Delivery"
    assert endpoint.posts[0][0]["x-amz-sns-rawdelivery"] == "true"


def test_the_older_format_comes_without_subject(ses: Ses, simulator: Simulator, endpoint: Endpoint) -> None:
    simulator.add_webhook(endpoint.url, format="notification", confirm=False)
    ses.send_email(**mail("complaint@simulator.amazonses.com"))

    messages = endpoint.wait(2)
    assert [json.loads(each["Message"])["notificationType"] for each in messages] == ["Delivery", "Complaint"]
    assert "Subject" not in messages[0]
    verify(messages[0])


def test_a_failing_webhook_is_tried_again_and_an_unwilling_one_is_not(
    ses: Ses, simulator: Simulator, endpoint: Endpoint
) -> None:
    simulator.add_webhook(endpoint.url, raw=True, confirm=False, events=["Send"], retries=2, retry_seconds=0.05)
    endpoint.answers = [500, 429, 200]
    ses.send_email(**mail())
    until(lambda: simulator.destinations()[0]["delivered"] == 1)
    assert len(endpoint.posts) == 3

    endpoint.answers = [404]
    ses.send_email(**mail())
    until(lambda: simulator.destinations()[0]["failed"] == 1)
    endpoint.answers = [503, 503, 503]
    ses.send_email(**mail())
    until(lambda: simulator.destinations()[0]["failed"] == 2)
    assert len(endpoint.posts) == 3 + 1 + 3
    assert simulator.destinations()[0]["last_error"].endswith("answered 503")


def test_a_webhook_that_is_not_there_hinders_nobody(ses: Ses, simulator: Simulator) -> None:
    simulator.add_webhook("http://127.0.0.1:9/nobody", confirm=False, retries=0)
    for _ in range(5):
        ses.send_email(**mail())

    until(lambda: simulator.destinations()[0]["failed"] == 10)
    assert len(simulator.messages()) == 5


def test_a_webhook_whose_host_cannot_be_is_not_delivered_to(ses: Ses, simulator: Simulator) -> None:
    simulator.add_webhook("http://a..localhost/", confirm=False, retries=0)
    ses.send_email(**mail())

    until(lambda: simulator.destinations()[0]["failed"] == 2)


def test_a_webhook_that_unsubscribes_gets_nothing_more(ses: Ses, simulator: Simulator, endpoint: Endpoint) -> None:
    simulator.add_webhook(endpoint.url, events=["Send"])
    until(lambda: confirmed(simulator))
    ses.send_email(**mail())
    url = endpoint.wait(2)[1]["UnsubscribeURL"]

    urllib.request.urlopen(url, timeout=30).close()  # noqa: S310 - loopback

    assert not confirmed(simulator)


def test_a_destination_may_want_one_configuration_set_only(ses: Ses, simulator: Simulator) -> None:
    url = simulator.add_queue("main-only", raw=True, configuration_set="main")
    ses.send_email(**mail("no@example.com"))
    ses.send_email(**mail("yes@example.com"), ConfigurationSetName="main")

    sqs = open_sqs(simulator)
    events = [json.loads(each["Body"]) for each in receive_all(sqs, url)]
    assert {each["mail"]["destination"][0] for each in events} == {"yes@example.com"}
    assert events[0]["mail"]["tags"]["ses:configuration-set"] == ["main"]


def receive_all(sqs: Sqs, url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += messages
    return found


def test_sqss_own_client_polls_events_and_deletes_them(ses: Ses, simulator: Simulator, sqs: Sqs) -> None:
    simulator.add_queue("events")
    url = sqs.get_queue_url(QueueName="events")["QueueUrl"]
    ses.send_email(**mail())

    messages = receive_all(sqs, url)
    envelopes = [json.loads(each["Body"]) for each in messages]
    assert [json.loads(each["Message"])["eventType"] for each in envelopes] == ["Send", "Delivery"]
    for envelope in envelopes:
        verify(envelope)
    counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    assert sqs.get_queue_attributes(QueueUrl=url, AttributeNames=counts)["Attributes"] == dict(
        zip(counts, ["0", "2"], strict=True)
    )
    for message in messages:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert set(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=counts)["Attributes"].values()) == {"0"}


def test_what_is_not_deleted_comes_back(ses: Ses, simulator: Simulator, sqs: Sqs) -> None:
    simulator.freeze_clock()
    url = simulator.add_queue("events", raw=True, events=["Send"])
    ses.send_email(**mail())
    query = {"QueueUrl": url, "AttributeNames": ["ApproximateReceiveCount"]}
    (first,) = sqs.receive_message(**query)["Messages"]
    assert "Messages" not in sqs.receive_message(**query)

    simulator.advance_clock(30)
    (second,) = sqs.receive_message(**query, VisibilityTimeout=600)["Messages"]
    assert second["MessageId"] == first["MessageId"]
    assert second["Attributes"] == {"ApproximateReceiveCount": "2"}
    assert second["ReceiptHandle"] != first["ReceiptHandle"]

    simulator.advance_clock(30)
    assert "Messages" not in sqs.receive_message(**query)
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=second["ReceiptHandle"], VisibilityTimeout=0)
    (third,) = sqs.receive_message(**query)["Messages"]
    answer = sqs.delete_message_batch(
        QueueUrl=url,
        Entries=[
            {"Id": "a", "ReceiptHandle": third["ReceiptHandle"]},
            {"Id": "b", "ReceiptHandle": "nonsense"},
        ],
    )
    assert [each["Id"] for each in answer["Successful"]] == ["a"]
    assert [each["Code"] for each in answer["Failed"]] == ["ReceiptHandleIsInvalid"]
    simulator.advance_clock(3600)
    assert "Messages" not in sqs.receive_message(**query)


def test_a_long_poll_waits_for_an_event_and_no_longer(ses: Ses, simulator: Simulator, sqs: Sqs) -> None:
    url = simulator.add_queue("events", raw=True)
    start = time.monotonic()
    assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)
    assert time.monotonic() - start > 0.9

    simulator.set_outcomes(send_after="300ms", delivery_after="1h")
    ses.send_email(**mail())
    start = time.monotonic()
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
    assert json.loads(message["Body"])["eventType"] == "Send"
    assert time.monotonic() - start < 15


def test_a_long_poll_does_not_outlast_a_reset() -> None:
    with Simulator(smtp=False, queue="events,raw=true") as simulator, ThreadPoolExecutor() as pool:
        sqs = open_sqs(simulator)
        url = sqs.get_queue_url(QueueName="events")["QueueUrl"]
        polled = pool.submit(sqs.receive_message, QueueUrl=url, WaitTimeSeconds=20)
        until(lambda: simulator.stats()["connections"]["http"]["open"] == 2)

        def sent_away() -> bool:
            simulator.reset()  # again: the poll may only be on its way
            return polled.done()

        until(sent_away)
        assert "Messages" not in polled.result()
        open_ses(simulator.url).send_email(**mail())
        assert len(receive_all(sqs, url)) == 2


def test_a_queue_that_is_deleted_and_made_again_gets_events_again(ses: Ses, simulator: Simulator, sqs: Sqs) -> None:
    sqs.delete_queue(QueueUrl=simulator.add_queue("events", raw=True))
    ses.send_email(**mail())
    assert [each["target"] for each in simulator.destinations()] == ["events"]

    url = sqs.create_queue(QueueName="events")["QueueUrl"]
    ses.send_email(**mail())
    assert len(receive_all(sqs, url)) == 2


@pytest.mark.parametrize("seconds", ["-1", "99999", "1" * 400])
def test_a_queue_cannot_hide_or_wait_for_longer_than_sqs_does(sqs: Sqs, seconds: str) -> None:
    for name in ("VisibilityTimeout", "ReceiveMessageWaitTimeSeconds"):
        with pytest.raises(sqs.exceptions.ClientError, match="InvalidAttributeValue"):
            sqs.create_queue(QueueName="mine", Attributes={name: seconds})


def test_sqs_queues_are_made_listed_written_to_and_purged(simulator: Simulator, sqs: Sqs) -> None:
    url = sqs.create_queue(QueueName="mine", Attributes={"VisibilityTimeout": "5"})["QueueUrl"]
    assert sqs.list_queues(QueueNamePrefix="mi")["QueueUrls"] == [url]
    sqs.send_message(QueueUrl=url, MessageBody="hällo")
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert message["Body"] == "hällo"
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "7"})
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "7"
    sqs.purge_queue(QueueUrl=url)
    sqs.delete_queue(QueueUrl=url)
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName="mine")
    with pytest.raises(sqs.exceptions.ClientError, match="UnsupportedOperation"):
        sqs.add_permission(QueueUrl=url, Label="l", AWSAccountIds=["1"], Actions=["*"])


def test_events_may_come_twice(ses: Ses, simulator: Simulator, sqs: Sqs) -> None:
    simulator.set_outcomes(repeat=1)
    url = simulator.add_queue("events", raw=True, events=["Bounce"])
    ses.send_email(**mail("bounce@simulator.amazonses.com"))

    first, second = (json.loads(each["Body"]) for each in receive_all(sqs, url))
    assert first == second


def test_a_new_destination_may_be_announced_in_plain_text(simulator: Simulator, sqs: Sqs) -> None:
    url = simulator.add_queue("events", raw=True, announce=True)

    (message,) = receive_all(sqs, url)
    assert message["Body"] == "Successfully validated SNS topic for Amazon SES event publishing."


def test_destinations_are_given_by_flag_and_come_back_with_a_reset(endpoint: Endpoint) -> None:
    queue, webhook = "events,raw=true,events=Bounce+Complaint", f"{endpoint.url},signature_version=2"
    with Simulator(smtp=False, rate=1000, queue=queue, webhook=webhook) as simulator:
        endpoint.wait(1)
        until(lambda: [each.get("confirmed") for each in simulator.destinations()].count(True) == 1)
        simulator.add_queue("other")
        simulator.reset()
        open_ses(simulator.url).send_email(**mail("bounce@simulator.amazonses.com"))

        assert [each["target"] for each in simulator.destinations()] == [endpoint.url, "events"]
        sqs = open_sqs(simulator)
        (message,) = receive_all(sqs, sqs.get_queue_url(QueueName="events")["QueueUrl"])
        assert json.loads(message["Body"])["eventType"] == "Bounce"
        assert json.loads(endpoint.wait(2)[1]["Message"])["eventType"] == "Send"


def test_a_reset_announces_on_the_clock_that_it_sets_back() -> None:
    with Simulator(smtp=False, queue="events,raw=true,announce=true") as simulator:
        simulator.advance_clock(26 * 3600)
        simulator.reset()

        (queue,) = simulator.destinations()
        assert (queue["visible"], queue["hidden"]) == (1, 0)


def test_a_removed_destination_gets_nothing_more(ses: Ses, simulator: Simulator, sqs: Sqs) -> None:
    url = simulator.add_queue("events")
    (destination,) = simulator.destinations()
    simulator.remove_destination(destination["number"])
    ses.send_email(**mail())

    assert receive_all(sqs, url) == []
    with pytest.raises(SimulatorError, match="404"):
        simulator.remove_destination(destination["number"])


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"kind": "pigeon", "target": "x"}, "kind must be"),
        ({"kind": "webhook", "target": "ftp://x"}, "target must be the URL"),
        ({"kind": "webhook", "target": "http://127.0.0.1:99999/"}, "target must be the URL"),
        ({"kind": "queue", "target": "a b"}, "target must be the name of a queue"),
        ({"kind": "queue", "target": "q", "format": "fax"}, "format must be"),
        ({"kind": "queue", "target": "q", "signature_version": "3"}, "signature_version must be"),
        ({"kind": "queue", "target": "q", "events": ["Birth"]}, "not 'Birth'"),
        ({"kind": "queue", "target": "q", "retries": -1}, "retries must be at least 0"),
        ({"kind": "queue", "target": "q", "raw": 1}, "raw must be true or false"),
        ({"kind": "queue", "target": "q", "typo": 1}, "has no typo"),
        ({"target": "q"}, "a destination is an object with at least kind"),
    ],
)
def test_a_wrong_destination_is_refused(simulator: Simulator, wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(SimulatorError, match=text):
        simulator.request("POST", "/_sim/destinations", body=wrong)

    assert simulator.destinations() == []
