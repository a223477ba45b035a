"""What the simulator tells of doubles, of attempts nobody asked for, and the inbox for people."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from mailer.simulator.client import Simulator, SimulatorError
from tests.unit.simulator.conftest import Ses, mail


def tagged(recipient: str, message_id: str, text: str = "Hello.") -> dict[str, Any]:
    call = mail(recipient, EmailTags=[{"Name": "mailer-id", "Value": message_id}])
    call["Content"]["Simple"]["Body"]["Text"]["Data"] = text
    return call


def open_hasty(simulator: Simulator) -> Ses:
    """A client as AWS's SDKs are when nobody configures them: it tries again by itself."""
    return boto3.client(
        "sesv2",
        endpoint_url=simulator.url,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"mode": "standard", "total_max_attempts": 3}),
    )


def test_the_same_content_to_the_same_recipient_is_a_duplicate(ses: Ses, simulator: Simulator) -> None:
    ids = [ses.send_email(**tagged("ann@example.com", f"m{number}"))["MessageId"] for number in range(2)]
    ses.send_email(**tagged("bob@example.com", "m3"))
    ses.send_email(**tagged("ann@example.com", "m4", text="Something else."))

    (duplicate,) = simulator.duplicates()
    assert (duplicate["by"], duplicate["of"], duplicate["ses_ids"]) == ("content", "ann@example.com", ids)
    assert duplicate["subject"] == "Hello"


def test_the_same_message_tag_is_a_duplicate_whatever_it_carries(ses: Ses, simulator: Simulator) -> None:
    ids = [ses.send_email(**tagged("ann@example.com", "m1", text=text))["MessageId"] for text in ("one", "two")]
    ses.send_email(**tagged("ann@example.com", "m2", text="three"))

    (duplicate,) = simulator.duplicates()
    assert (duplicate["by"], duplicate["of"], duplicate["ses_ids"]) == ("tag", "m1", ids)


def test_attachments_and_html_tell_messages_apart(ses: Ses, simulator: Simulator) -> None:
    for content in (b"1", b"2"):
        call = mail()
        call["Content"]["Simple"]["Attachments"] = [{"FileName": "a", "RawContent": content}]
        ses.send_email(**call)

    assert simulator.duplicates() == []


def test_what_an_sdk_sends_again_behind_ones_back_is_told(simulator: Simulator) -> None:
    simulator.add_fault("error", error="internal", count=1)
    simulator.add_fault("reset", when="after", count=1)
    hasty = open_hasty(simulator)
    hasty.send_email(**mail())
    hasty.send_email(**mail())

    (call,) = simulator.resends()
    assert call["operation"] == "SendEmail"
    assert [(each["status"], each["ending"]) for each in call["attempts"]] == [
        (500, "answer"),
        (200, "reset"),
        (200, "answer"),
    ]
    assert call["taken"] == 2
    # The mail came twice, and nobody who called would know.
    assert len(simulator.duplicates()[0]["ses_ids"]) == 3


@pytest.mark.parametrize(
    ("kind", "when", "taken"), [("reset", "before", 1), ("reset", "after", 2), ("error", "after", 2)]
)
def test_an_attempt_counts_as_taken_by_what_ses_did_and_not_by_what_it_answered(
    simulator: Simulator, kind: str, when: str, taken: int
) -> None:
    simulator.add_fault(kind, when=when, count=1)
    open_hasty(simulator).send_email(**mail())

    (call,) = simulator.resends()
    assert len(call["attempts"]) == 2
    assert call["taken"] == len(simulator.messages()) == taken


def test_the_inbox_is_searched_by_all_words_and_paged_newest_first(ses: Ses, simulator: Simulator) -> None:
    for number in range(7):
        ses.send_email(**tagged(f"r{number}@example.com", f"m{number}", text=f"Unicorn{number}z"))

    def listed(**query: Any) -> list[str]:
        page = simulator.request("GET", "/_sim/inbox", query=query)
        return [message["to"][0].partition("@")[0] for message in page["messages"]]

    first = simulator.request("GET", "/_sim/inbox", query={"limit": 5})
    assert [message["to"][0][1] for message in first["messages"]] == list("65432")
    assert listed(limit=5, before=first["next"]) == ["r1", "r0"]
    assert simulator.request("GET", "/_sim/inbox", query={"limit": 2, "before": 3})["next"] is None
    assert listed(search="HELLO r3@") == ["r3"]
    assert listed(search="m4") == ["r4"]
    assert listed(search="unicorn5Z") == []
    assert listed(search="unicorn5Z", bodies=1) == ["r5"]


def test_html_raw_and_attachments_are_served_so_that_a_browser_cannot_be_harmed(ses: Ses, simulator: Simulator) -> None:
    call = mail()
    call["Content"]["Simple"]["Body"]["Html"] = {"Data": '<img src="cid:logo"><img src="cid:bad">'}
    call["Content"]["Simple"]["Attachments"] = [
        {"FileName": "l.png", "RawContent": b"PNG", "ContentType": "image/png", "ContentId": "logo"},
        {"FileName": 'e"\r\n.svg', "RawContent": b"<svg/>", "ContentType": "image/svg+xml", "ContentId": "bad"},
    ]
    ses_id = ses.send_email(**call)["MessageId"]

    headers, body = fetched(simulator, f"/_sim/messages/{ses_id}/html")
    assert body == b'<img src="data:image/png;base64,UE5H"><img src="data:,">'
    assert headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'; ")
    headers, body = fetched(simulator, f"/_sim/messages/{ses_id}/raw")
    assert json.loads(body)["FromEmailAddress"] == "news@example.com"
    headers, body = fetched(simulator, f"/_sim/messages/{ses_id}/attachments/1")
    assert (headers["Content-Type"], body) == ("application/octet-stream", b"<svg/>")
    assert headers["Content-Disposition"] == "attachment; filename*=UTF-8''e.svg"
    assert headers["X-Content-Type-Options"] == "nosniff"
    for path in (f"/_sim/messages/{ses_id}/attachments/2", "/_sim/messages/none/html", "/_sim/ui/none"):
        with pytest.raises(SimulatorError, match="404"):
            simulator.request("GET", path)


@pytest.mark.parametrize("odd", ["<![if !mso]>", "<![anything[ x ]]>", "<!x", "<![CDATA[x]]>"])
def test_odd_declarations_do_not_keep_html_from_being_shown(ses: Ses, simulator: Simulator, odd: str) -> None:
    call = mail()
    call["Content"]["Simple"]["Body"]["Html"] = {"Data": f"<p>before</p>{odd}<p>after</p>"}
    ses_id = ses.send_email(**call)["MessageId"]

    body = fetched(simulator, f"/_sim/messages/{ses_id}/html")[1].decode()
    assert body.startswith("<p>before</p>")


def test_pictures_in_mime_are_put_in(ses: Ses, simulator: Simulator) -> None:
    raw = (
        b"From: a@example.com\r\nTo: b@example.com\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/related; boundary="x"\r\n\r\n'
        b'--x\r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\n<p>Gr\xfc\xdfe <img src="cid:l@x">\r\n'
        b"--x\r\nContent-Type: image/gif\r\nContent-ID: <l@x>\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\nR0lG\r\n--x--\r\n"
    )
    ses_id = ses.send_email(Content={"Raw": {"Data": raw}})["MessageId"]

    body = fetched(simulator, f"/_sim/messages/{ses_id}/html")[1].decode()
    assert body.startswith('<p>Grüße <img src="data:image/gif;base64,R0lG">')


def fetched(simulator: Simulator, path: str) -> tuple[http.client.HTTPMessage, bytes]:
    address = urlsplit(simulator.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 200
    return answer.headers, body
