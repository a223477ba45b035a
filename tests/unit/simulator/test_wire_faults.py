"""Failures of the wire and storms, over HTTP and SMTP, by flag, by file and live."""

from __future__ import annotations

import http.client
import json
import re
import smtplib
import socket
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import EndpointConnectionError

from mailer.simulator import fault_file
from mailer.simulator.client import Simulator, SimulatorError
from mailer.simulator.fault import Fault
from mailer.simulator.faults import Faults
from tests.unit.simulator.conftest import Ses, mail, open_ses
from tests.unit.simulator.webhook import until

Refusal = Callable[..., tuple[int, str, str]]


def listens(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=30).close()
    except ConnectionRefusedError:
        return False
    return True


def seconds_of(act: Callable[[], object]) -> float:
    start = time.monotonic()
    act()
    return time.monotonic() - start


def least_seconds_of(act: Callable[[], object], times: int) -> float:
    """Some of them may be slow because the machine is."""
    return min(seconds_of(act) for _ in range(times))


def http_address(simulator: Simulator) -> tuple[str, int]:
    url = urlsplit(simulator.url)
    return str(url.hostname), int(url.port or 0)


def test_for_a_while_nobody_listens_and_then_somebody_does_again(ses: Ses, simulator: Simulator) -> None:
    ses.send_email(**mail())
    simulator.add_fault("refuse", transport="http", seconds=600)

    with pytest.raises(EndpointConnectionError):  # its idle connection was closed too
        ses.send_email(**mail())
    assert listens(simulator.smtp)
    assert simulator.stats()["faults"] == {"refuse": 1}, "the control API's own connection stays"

    simulator.request("PUT", "/_sim/faults", body=[{"kind": "refuse", "transport": "http", "seconds": 0.5}])
    until(lambda: listens(http_address(simulator)))
    ses.send_email(**mail())
    assert len(simulator.messages()) == 2
    assert simulator.faults() == []


def test_an_outage_can_come_again() -> None:
    now = 100.0
    faults = Faults(
        [Fault(kind="refuse", transport="smtp", seconds=2, every=10, count=2)], Random(1), clock=lambda: now
    )
    refused = []
    for second in range(35):
        now = 100.0 + second
        if faults.refused("smtp"):
            refused.append(second)
        assert not faults.refused("http")

    assert refused == [0, 1, 10, 11]
    assert list(faults) == []


def test_an_outage_ends_early_when_the_faults_are_cleared(simulator: Simulator) -> None:
    simulator.add_fault("refuse", seconds=600)
    until(lambda: not listens(simulator.smtp))

    simulator.clear_faults()
    until(lambda: listens(simulator.smtp) and listens(http_address(simulator)))


def test_an_outage_has_begun_or_ended_when_the_request_for_it_is_answered(simulator: Simulator) -> None:
    for end in (simulator.clear_faults, simulator.reset) * 5:
        simulator.add_fault("refuse", seconds=600)
        assert not listens(http_address(simulator))
        assert not listens(simulator.smtp)
        end()
        assert listens(http_address(simulator))
        assert listens(simulator.smtp)


def test_an_outage_closes_connections_that_are_only_being_made() -> None:
    with Simulator(tls=True, smtps=True) as simulator:
        addresses = [http_address(simulator), simulator.smtps]
        half_made = [socket.create_connection(address, timeout=30) for address in addresses]
        until(lambda: all(listens(address) for address in addresses))  # so those before are accepted
        for _ in range(2):
            simulator.add_fault("refuse", seconds=600)
            assert not any(listens(address) for address in addresses)
            simulator.clear_faults()

        context = ssl.create_default_context(cafile=simulator.ca_file)
        assert [is_closed_once_made(each, context) for each in half_made] == [True, True]
        assert simulator.stats()["faults"] == {"refuse": 2}


def test_an_outage_spares_an_smtp_connection_that_waits_for_its_answer_and_no_other() -> None:
    with Simulator(smtp_insecure=True) as simulator:
        waits, after_long_line = (smtplib.SMTP(*simulator.smtp, timeout=30) for _ in range(2))
        raw = b"From: a@example.com\r\n\r\nHello\r\n"
        with pytest.raises(smtplib.SMTPDataError, match="Line too long"):
            after_long_line.sendmail("a@example.com", ["b@example.com"], raw + b"x" * 3000 + b"\r\n")
        simulator.set_latency("2s")
        with ThreadPoolExecutor() as pool:
            sent = pool.submit(waits.sendmail, "a@example.com", ["b@example.com"], raw)
            until(simulator.messages)
            simulator.add_fault("refuse", seconds=600)
            assert sent.result() == {}
        with pytest.raises(smtplib.SMTPServerDisconnected):
            after_long_line.noop()
        for client in (waits, after_long_line):
            client.close()


def is_closed_once_made(connection: socket.socket, context: ssl.SSLContext) -> bool:
    """Whether the server ends a connection without a word, whether TLS has been agreed on or not."""
    with connection:
        try:
            return context.wrap_socket(connection, server_hostname="127.0.0.1").recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True


def test_a_throttle_storm_passes(simulator: Simulator, refusal: Refusal, ses: Ses) -> None:
    storm = {"kind": "error", "error": "throttle"}
    simulator.request("PUT", "/_sim/faults", body=[{**storm, "seconds": 600}])
    for _ in range(2):
        assert refusal(**mail()) == (429, "TooManyRequestsException", "Maximum sending rate exceeded.")

    simulator.request("PUT", "/_sim/faults", body=[{**storm, "seconds": 0.5}])
    until(lambda: simulator.faults() == [])
    ses.send_email(**mail())


def test_a_storm_comes_in_gusts() -> None:
    now = 100.0
    faults = Faults([Fault(kind="error", seconds=2, every=10)], Random(1), clock=lambda: now)
    struck = []
    for second in range(25):
        now = 100.0 + second
        if faults.strike("send", "http").before is not None:
            struck.append(second)

    assert struck == [0, 1, 10, 11, 20, 21]


def test_clock_skew_is_refused_in_awss_words(simulator: Simulator, refusal: Refusal) -> None:
    simulator.add_fault("error", error="clock-skew")

    status, code, text = refusal(**mail())
    assert (status, code) == (403, "InvalidSignatureException")
    assert text.startswith("Signature expired: ")
    assert text.endswith(" - 5 min.)")
    assert "{" not in text


def test_a_fault_tells_the_time_and_the_region_of_the_ses_that_it_strikes(simulator: Simulator) -> None:
    simulator.skew_clock(7200)
    simulator.add_fault("error", error="clock-skew", count=1)
    simulator.add_fault("error", error="not-verified", count=1)
    ses = open_ses(simulator.url, region="eu-west-1")
    with pytest.raises(ses.exceptions.ClientError) as skewed:
        ses.send_email(**mail())
    server = re.search(r"\((\d{8}T\d{6}Z) - 5 min", str(skewed.value))
    dated = parsedate_to_datetime(skewed.value.response["ResponseMetadata"]["HTTPHeaders"]["date"])
    assert server is not None
    told = datetime.strptime(server[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert abs((told - dated).total_seconds()) < 60, "the same clock as that of the Date header"
    with pytest.raises(ses.exceptions.MessageRejected, match="failed the check in region EU-WEST-1: "):
        ses.send_email(**mail())


def test_expired_credentials_are_refused_everywhere(simulator: Simulator, ses: Ses, refusal: Refusal) -> None:
    simulator.add_fault("error", error="expired-token", operation=None)

    assert refusal(**mail())[:2] == (403, "ExpiredTokenException")
    with pytest.raises(ses.exceptions.ClientError, match="ExpiredTokenException"):
        ses.get_account()


def test_an_answer_can_come_slowly(simulator: Simulator, ses: Ses) -> None:
    simulator.add_fault("slow-answer", bytes_per_second=60, count=1)
    # A read timeout is from byte to byte: it does not see this.
    hasty = open_ses(simulator.url, read_timeout=3)
    assert seconds_of(lambda: hasty.send_email(**mail())) > 3
    ses.send_email(**mail())
    assert len(simulator.messages()) == 2


def test_a_request_can_be_read_slowly(simulator: Simulator, ses: Ses) -> None:
    simulator.add_fault("slow-read", bytes_per_second=100_000, count=1)

    def send(size: int) -> None:
        large = mail()
        large["Content"]["Simple"]["Body"]["Text"]["Data"] = "x" * size
        ses.send_email(**large)

    slow = seconds_of(lambda: send(100_000))
    assert slow > 0.8
    assert least_seconds_of(lambda: send(400_000), 5) < slow
    assert simulator.stats()["faults"] == {"slow-read": 1}
    assert len(simulator.messages()) == 1 + 5


def test_a_slow_read_strikes_the_calls_that_it_names_and_no_other(simulator: Simulator, ses: Ses) -> None:
    simulator.add_fault("slow-read", bytes_per_second=1000)
    simulator.add_fault("slow-read", bytes_per_second=100_000, operation="account", count=1)
    # A POST too, but no send; and polls of a queue are no calls to SES.
    ses.create_email_template(TemplateName="slow", TemplateContent={"Subject": "x" * 3000})
    assert simulator.stats()["faults"] == {"slow-read": 1}
    queue = {"QueueName": "polled", "Attributes": {"VisibilityTimeout": "1"}}
    headers = {"X-Amz-Target": "AmazonSQS.CreateQueue", "Content-Type": "application/x-amz-json-1.0"}
    host, port = http_address(simulator)
    connection = http.client.HTTPConnection(host, port, timeout=30)
    connection.request("POST", "/", json.dumps(queue), headers)
    assert connection.getresponse().status == 200
    connection.close()
    ses.get_account()
    assert simulator.stats()["faults"] == {"slow-read": 1}
    assert seconds_of(lambda: ses.send_email(**mail())) > 0.3
    assert simulator.stats()["faults"] == {"slow-read": 2}


def test_smtp_can_be_read_and_answered_slowly_too(simulator: Simulator) -> None:
    simulator.add_fault("slow-read", transport="smtp", bytes_per_second=20_000, count=1)
    simulator.add_fault("slow-answer", transport="smtp", bytes_per_second=200, count=1)
    with smtplib.SMTP(*simulator.smtp, timeout=30) as client:
        client.starttls(context=ssl.create_default_context(cafile=simulator.ca_file))
        client.login("AKIDEXAMPLE", "any")

        def send(lines: int) -> None:
            raw = b"From: a@example.com\r\n\r\n" + b"0123456789\r\n" * lines
            client.sendmail("a@example.com", ["b@example.com"], raw)

        slow = seconds_of(lambda: send(1000))
        assert slow > 0.6 + 0.3
        assert least_seconds_of(lambda: send(4000), 5) < slow

    assert len(simulator.messages()) == 1 + 5


def test_only_the_message_is_read_slowly_over_smtp() -> None:
    with Simulator(smtp_insecure=True) as simulator, smtplib.SMTP(*simulator.smtp, timeout=60) as client:
        simulator.add_fault("slow-read", transport="smtp", bytes_per_second=20, count=1)
        client.ehlo()
        sender, raw = f"{'a' * 150}@example.com", b"From: a@b.co\r\n\r\n"
        client.sendmail(sender, ["b@example.com"], raw)
        again = least_seconds_of(lambda: client.sendmail(sender, ["b@example.com"], raw), 2)
        assert again < 7, "MAIL FROM alone would have taken eight seconds"


def test_what_is_half_read_at_a_reset_does_not_arrive_later() -> None:
    with Simulator(smtp_insecure=True) as simulator, smtplib.SMTP(*simulator.smtp, timeout=30) as client:
        simulator.add_fault("slow-read", bytes_per_second=1000, count=2)
        body = json.dumps(mail("late@example.com")).encode() + b" " * 1000
        request = b"POST /v2/email/outbound-emails HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(
            body
        )
        client.ehlo()
        client.mail("a@example.com")
        client.rcpt("late@example.com")
        client.docmd("DATA")
        assert client.sock is not None
        with socket.create_connection(http_address(simulator), timeout=30) as given_up:
            given_up.sendall(request + body)
            client.sock.sendall(b"From: a@example.com\r\n\r\n" + b"0123456789\r\n" * 100 + b".\r\n")
            until(lambda: simulator.stats()["faults"] == {"slow-read": 2})
        simulator.reset()

        until(lambda: simulator.stats()["connections"]["smtp"]["open"] == 0)
        until(lambda: simulator.stats()["connections"]["http"]["open"] == 1)
        assert simulator.messages() == []


TOML = """
[[fault]]
kind = "error"
error = "throttle"
seconds = 5
every = 30

[[fault]]
kind = "reset"
when = "after"
probability = 0.01
"""


def test_faults_come_from_a_file(tmp_path: Path) -> None:
    toml, json = tmp_path / "faults.toml", tmp_path / "faults.json"
    toml.write_text(TOML)
    json.write_text('[{"kind": "latency", "latency": "1ms"}]')
    with Simulator(smtp=False, faults=[toml, json], fault="silence,count=1") as simulator:
        assert [fault["kind"] for fault in simulator.faults()] == ["silence", "error", "reset", "latency"]
        simulator.clear_faults()
        simulator.reset()
        assert len(simulator.faults()) == 4


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("f.toml", "[[fault]]\nkind = 'explode'", "fault 1: kind must be one of"),
        ("f.toml", "[[fault]]\nkind = 'reset'\n[[fault]]\nkind = 'reset'\ncount = 0", "fault 2: count must be"),
        ("f.toml", "fault = ", "f.toml: "),
        ("f.toml", "[[faults]]\nkind = 'reset'", "and no faults"),
        ("f.json", "{", "f.json: "),
        ("f.json", "3", "a fault is an object"),
    ],
)
def test_a_wrong_file_is_explained(tmp_path: Path, name: str, text: str, complaint: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=complaint):
        fault_file.load(tmp_path / name)


def test_a_file_that_is_not_there_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        fault_file.load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "refuse"},
        {"kind": "refuse", "seconds": 1, "count": 2},
        {"kind": "refuse", "seconds": 1, "recipient": "ann"},
        {"kind": "error", "seconds": 0},
        {"kind": "error", "every": 5},
        {"kind": "error", "seconds": 5, "every": 5},
        {"kind": "slow-read", "recipient": "ann"},
        {"kind": "slow-answer", "bytes_per_second": 0},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(simulator: Simulator, wrong: dict[str, object]) -> None:
    with pytest.raises(SimulatorError, match=r"400 ."):
        simulator.request("POST", "/_sim/faults", body=wrong)

    assert simulator.faults() == []
