"""The control API: read back, count, change."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from mailer.simulator.client import Simulator, SimulatorError
from mailer.simulator.fault import KINDS
from mailer.simulator.inbox import Inbox, Submission
from tests.unit.simulator.conftest import Ses, mail, open_ses


def a_submission(recipient: str = "ann@example.com", data: bytes = b"x") -> Submission:
    return Submission(
        region="us-east-1",
        transport="http",
        sender="news@example.com",
        recipients=(recipient,),
        form="mime",
        data=data,
        tags={"mailer-id": recipient.partition("@")[0]},
    )


def test_messages_come_in_pages_in_the_order_of_their_arrival(ses: Ses, simulator: Simulator) -> None:
    for number in range(5):
        ses.send_email(**mail(f"r{number}@example.com"))

    first = simulator.request("GET", "/_sim/messages", query={"limit": 3, "fields": "to"})
    rest = simulator.request("GET", "/_sim/messages", query={"limit": 3, "fields": "to", "after": first["next"]})

    assert [message["to"][0][1] for message in first["messages"] + rest["messages"]] == list("01234")
    assert rest["next"] is None
    assert first["kept"] == 5


def test_messages_are_found_by_recipient_and_by_time(ses: Ses, simulator: Simulator) -> None:
    ses.send_email(**mail("ann@example.com"))
    ses.send_email(**mail("bob@example.com"))
    first, second = simulator.messages()

    assert simulator.messages(recipient="bob@") == [second]
    assert simulator.messages(since=second["at"]) == [second]
    assert simulator.messages(since=first["at"]) == [first, second]


def test_half_a_surrogate_pair_can_be_read_back(simulator: Simulator) -> None:
    call = json.dumps(mail()).replace("Hello.", "\\ud83d")
    simulator.request("POST", "/v2/email/outbound-emails", body=json.loads(call))

    assert simulator.messages(fields="text") == [{"text": "\ud83d"}]


@pytest.mark.parametrize(
    "damage",
    [
        b"Content-Type: text/plain; charset=u\0x\r\n",
        b"Content-Type: multipart/mixed\r\n",
        b"Content-Type: text/plain; charset=none-such\r\n",
        b"Subject: =?utf-9?b?SGk=?= \xff\xfe\r\n",
        b"Content-Disposition: attachment; filename*=utf-8''%e2%82\r\nContent-Transfer-Encoding: base64\r\n",
        b"no colon\r\n",
    ],
)
def test_broken_mime_can_be_read_back_as_far_as_it_goes(ses: Ses, simulator: Simulator, damage: bytes) -> None:
    raw = b"From: a@example.com\r\nTo: b@example.com\r\n" + damage + b"\r\n\xffHello\r\n"

    ses_id = ses.send_email(Content={"Raw": {"Data": raw}})["MessageId"]

    assert ["From", "a@example.com"] in simulator.message(ses_id)["headers"]


def test_only_the_fields_asked_for_are_sent(ses: Ses, simulator: Simulator) -> None:
    ses.send_email(**mail())

    assert simulator.messages(fields="to,subject") == [{"to": ["ann@example.com"], "subject": "Hello"}]
    with pytest.raises(SimulatorError, match="fields has no nonsense"):
        simulator.messages(fields="nonsense")


def test_clearing_forgets_messages_and_rows_and_keeps_the_account(ses: Ses, simulator: Simulator) -> None:
    ses.send_email(**mail())

    simulator.clear_messages()

    assert simulator.messages() == []
    assert list(simulator.rows()) == []
    assert simulator.account()["used"] == 1
    ses.send_email(**mail())
    assert simulator.messages()[0]["number"] > 1


def test_stats_tell_accepted_from_refused_by_kind(ses: Ses, simulator: Simulator) -> None:
    simulator.freeze_clock()
    simulator.set_account(bucket=2, rate=1)
    for _ in range(5):
        try:
            ses.send_email(**mail())
        except ses.exceptions.TooManyRequestsException:
            continue
    with pytest.raises(ses.exceptions.BadRequestException):
        ses.send_email(**mail("nobody"))
    ses.get_account()

    stats = simulator.stats(slots=True)
    assert (stats["accepted"], stats["recipients"]) == (2, 2)
    assert stats["refused"] == {"rate": 3, "bad-request": 1}
    assert stats["requests"] == {"SendEmail": 6, "GetAccount": 1}
    region = stats["regions"]["us-east-1"]
    assert region["most_in_one_second"] == 2
    assert region["refused"] == {"rate": 3}
    assert [slot[1:] for slot in region["slots"]] == [[2, 3]]
    assert region["slots"][0][0] == pytest.approx(stats["now"], abs=0.1)

    simulator.clear_stats()
    assert simulator.stats()["accepted"] == 0
    assert simulator.stats()["requests"] == {}


def test_the_account_can_be_changed_while_it_runs(ses: Ses, simulator: Simulator) -> None:
    changed = simulator.set_account(rate=5, quota=100, used=40, bucket=None)

    assert (changed["rate"], changed["quota"], changed["used"]) == (5, 100, 40)
    assert (changed["bucket"], changed["capacity"]) == (None, 5)
    quota = ses.get_account()["SendQuota"]
    assert quota == {"Max24HourSend": 100.0, "MaxSendRate": 5.0, "SentLast24Hours": 40.0}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"rate": 0}, "rate must be"),
        ({"rate": float("inf")}, "rate must be"),
        ({"quota": float("nan")}, "quota must be"),
        ({"rate": "fast"}, "rate must be a number, not 'fast'"),
        ({"rate": True}, "rate must be a number, not True"),
        ({"quota": -5}, "quota must be"),
        ({"bucket": 0.5}, "bucket must be"),
        ({"enforcement": "FINE"}, "enforcement must be"),
        ({"used": -1}, "used must be"),
        ({"sending_enabled": 1}, "sending_enabled must be true or false, not 1"),
        ({"verified": "example.com"}, "verified must be a list"),
        ({"speed": 1}, "an account has no speed"),
    ],
)
def test_a_wrong_change_is_refused_and_changes_nothing(simulator: Simulator, change: dict[str, Any], text: str) -> None:
    before = simulator.account()

    with pytest.raises(SimulatorError, match=text):
        simulator.set_account(**change)

    assert simulator.account() == before


def test_reset_brings_back_the_start(ses: Ses, simulator: Simulator) -> None:
    ses.send_email(**mail())
    simulator.set_account(rate=1, quota=1)
    simulator.add_fault("reset")
    simulator.set_latency("1s")
    simulator.advance_clock(3600)

    simulator.reset()

    assert simulator.messages() == []
    assert simulator.account()["rate"] == 1000
    assert simulator.account()["used"] == 0
    assert simulator.faults() == []
    ses.send_email(**mail())


@pytest.mark.parametrize("path", ["/_sim/messages/none", "/_sim/nonsense"])
def test_what_is_not_there_is_not_found(simulator: Simulator, path: str) -> None:
    with pytest.raises(SimulatorError, match="404"):
        simulator.request("GET", path)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/_sim/messages?limit=x", "limit must be a whole number, not 'x'"),
        ("/_sim/messages?limit=0", "limit must be between 1 and 10000"),
        ("/_sim/rows?after=x", "after must be a whole number, not 'x'"),
        ("/_sim/stats?slots=1&since=x", "since must be a number, not 'x'"),
    ],
)
def test_a_wrong_query_is_refused(simulator: Simulator, path: str, text: str) -> None:
    with pytest.raises(SimulatorError, match=f"400 {text}"):
        simulator.request("GET", path)


@pytest.mark.parametrize(("method", "status"), [("PATCH", 405), ("DELETE", 405), ("GET", 200), ("HEAD", 200)])
def test_a_method_that_a_path_does_not_have_is_refused(simulator: Simulator, method: str, status: int) -> None:
    address = urlsplit(simulator.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    connection.request(method, "/_sim/rows")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["allow"]) == (status, "GET" if status == 405 else None)
    assert bool(answer.read()) == (method != "HEAD")
    connection.request("GET", "/_sim/clock")  # on the same connection
    assert connection.getresponse().status == 200
    connection.close()


def test_a_path_that_only_begins_as_the_control_apis_is_sess(simulator: Simulator) -> None:
    with pytest.raises(SimulatorError, match="404 None"):  # SES's error has a message, and no "error"
        simulator.request("GET", "/_simulator")
    assert simulator.stats()["refused"] == {"unknown-operation": 1}


def test_the_schema_tells_what_may_be_sent_and_what_was_read_may_be_sent_back(simulator: Simulator) -> None:
    schema = simulator.request("GET", "/_sim/schema")
    assert schema["fault"]["properties"]["kind"]["enum"] == list(KINDS)
    assert schema["fault"]["properties"]["latency"]["kinds"] == ["latency"]
    assert schema["account"]["properties"]["rate"]["exclusiveMinimum"] == 0
    assert schema["options"]["properties"]["row_tag"]["default"] == "mailer-id"

    simulator.set_account(rate=14, bucket=None, verified=["example.com"])
    before = simulator.account()
    after = simulator.set_account(**{name: before[name] for name in schema["account"]["properties"]})
    assert {**after, "tokens": 0} == {**before, "tokens": 0}
    assert simulator.set_account(rate=100)["capacity"] == 100, "the burst follows the rate"
    outcomes = simulator.request("GET", "/_sim/outcomes")
    simulator.set_outcomes(**outcomes)
    simulator.add_fault("error", seconds=60)
    (fault,) = simulator.faults()
    simulator.request("PUT", "/_sim/faults", body=fault)
    assert simulator.faults() == [fault]


def test_the_inbox_keeps_the_newest_messages_and_more_rows() -> None:
    inbox = Inbox(keep=3, keep_bytes=1000, keep_rows=5000, row_tag="mailer-id")
    for number in range(4000):
        inbox.add(float(number), f"id-{number}", a_submission(f"r{number}@example.com"))

    assert [message.ses_id for message in inbox.messages()] == ["id-3997", "id-3998", "id-3999"]
    assert [message.ses_id for message in inbox.messages(after=3999)] == ["id-3999"]
    assert inbox.get("id-3996") is None
    assert [row.message_id for row in inbox.rows()] == [f"r{number}" for number in range(4000)]
    assert [row.at for row in inbox.rows(after=3998)] == [3998.0, 3999.0]


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("/_sim/account", {"used": 2**63}),
        ("/_sim/account", {"rate": 10**400}),
        ("/_sim/clock", {"advance": 10**400}),
        ("/_sim/faults", [{"kind": "refuse", "seconds": 10**400}]),
    ],
)
def test_a_number_that_is_too_large_is_refused(ses: Ses, simulator: Simulator, path: str, wrong: object) -> None:
    with pytest.raises(SimulatorError, match="400 a whole number has at most 15 digits"):
        simulator.request("PUT", path, body=wrong)

    ses.send_email(**mail())


def test_without_kept_messages_events_go_out_all_the_same() -> None:
    with Simulator(smtp=False, keep=0, queue="events") as simulator:
        simulator.add_webhook("http://127.0.0.1:9/nobody", confirm=False)
        open_ses(simulator.url).send_email(**mail())

        assert simulator.messages() == []
        assert simulator.stats()["accepted"] == 1
        assert simulator.destinations()[0]["visible"] == 2


def test_the_oldest_rows_make_room() -> None:
    inbox = Inbox(keep=1, keep_bytes=1000, keep_rows=2048, row_tag="mailer-id")
    for number in range(5000):
        inbox.add(float(number), f"id-{number}", a_submission())

    kept = [int(row.at) for row in inbox.rows()]
    assert kept == list(range(5000 - len(kept), 5000))
    assert 2048 <= len(kept) < 2048 + 1024
    assert [int(row.at) for row in inbox.rows(after=4998)] == [4998, 4999]
    assert list(inbox.rows(after=5000)) == []


def test_large_messages_make_room_by_their_size() -> None:
    inbox = Inbox(keep=100, keep_bytes=1000, keep_rows=10, row_tag="mailer-id")
    for number in range(5):
        inbox.add(0.0, f"id-{number}", a_submission(data=b"x" * 400))

    assert [message.ses_id for message in inbox.messages()] == ["id-3", "id-4"]
