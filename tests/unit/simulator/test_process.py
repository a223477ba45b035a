"""The simulator as a program: how it starts, ends, and what it costs."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from cryptography import x509

from mailer.simulator.certificate import Certificate
from mailer.simulator.client import Simulator, SimulatorError
from mailer.simulator.options import Options
from mailer.simulator.wire.credentials import smtp_password
from tests.unit.simulator.conftest import SECRET, mail, open_ses

COMMAND = [sys.executable, "-m", "mailer.simulator"]


def test_the_ready_line_and_the_ready_file_say_where_it_listens(tmp_path: Path) -> None:
    ready_file = tmp_path / "ready.json"
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", "--smtp-port", "0", "--ready-file", str(ready_file)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        ready = json.loads(process.stdout.readline())
        assert json.loads(ready_file.read_text()) == ready
        assert sorted(ready) == ["ca_file", "http", "smtp"]
        for address in (ready["http"].removeprefix("http://"), ready["smtp"]):
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=30).close()
        process.terminate()
        assert process.wait(60) == 0
        assert process.stdout.read() == ""
    assert not Path(ready["ca_file"]).exists()


def test_no_link_is_followed_that_somebody_put_where_it_writes(tmp_path: Path) -> None:
    ready, victim = tmp_path / "ready.json", tmp_path / "victim"
    victim.write_text("whole")
    for link in (ready, ready.with_name("ready.json.partial")):
        link.symlink_to(victim)
    command = [*COMMAND, "--port", "0", "--ready-file", str(ready)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        assert process.wait(60) == 0
    assert victim.read_text() == "whole"
    assert {each.name for each in tmp_path.iterdir() if not each.is_symlink()} == {"ready.json", "victim"}


def test_what_it_cannot_do_is_one_line_that_names_it() -> None:
    def refusal(*arguments: str) -> str:
        done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=120)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        return done.stderr

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert f"127.0.0.1:{port}" in refusal("--port", port)
        assert f"127.0.0.1:{port}" in refusal("--port", "0", "--smtp-port", port)
    assert "--port must be at most 65535" in refusal("--port", "99999")
    assert "above 0" in refusal("--rate", "-3")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_whatever_is_open(number: signal.Signals) -> None:
    simulator = Simulator()
    simulator.start()
    simulator.add_fault("silence", count=1)
    with pytest.raises(ReadTimeoutError):
        open_ses(simulator.url, read_timeout=0.2).send_email(**mail())
    with socket.create_connection(simulator.smtp, timeout=30) as connection:
        connection.recv(100)
        process = psutil.Process(simulator.pid)
        process.send_signal(number)
        assert process.wait(8) == 0, "nobody's idle time is waited for"
    simulator.stop()


def test_it_does_not_outlive_the_test_that_started_it() -> None:
    code = (
        "import os, signal\n"
        "from mailer.simulator.client import Simulator\n"
        "simulator = Simulator(smtp=False)\n"
        "simulator.start()\n"
        "print(simulator.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    started = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)

    # Gone, or waiting for whoever inherited it to notice.
    deadline = time.monotonic() + 60
    while psutil.pid_exists(int(started.stdout)):
        if psutil.Process(int(started.stdout)).status() == psutil.STATUS_ZOMBIE:
            break
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_started_again_it_is_empty_and_where_it_was() -> None:
    with Simulator(smtps=True) as simulator:
        open_ses(simulator.url).send_email(**mail())
        before = {name: where for name, where in simulator.ready.items() if name != "ca_file"}
        simulator.stop()
        with pytest.raises(EndpointConnectionError):
            open_ses(simulator.url).send_email(**mail())
        simulator.start()

        assert {name: where for name, where in simulator.ready.items() if name != "ca_file"} == before
        assert simulator.messages() == []
        open_ses(simulator.url).send_email(**mail())


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--host", "0.0.0.0"], "not a loopback address"),  # noqa: S104 - refused, which is the point
        (["--rate", "0"], "--rate must be above 0"),
        (["--rate", "fast"], "--rate must be a number, not 'fast'"),
        (["--keep", "-1"], "--keep must be at least 0"),
        (["--latency", "soon"], "--latency: 'soon' is not a duration"),
        (["--fault", "explode"], "--fault: kind must be one of"),
        (["--fault", "error,count=x"], "--fault: count must be a whole number, not 'x'"),
        (["--fault", "error,typo=1"], "--fault: a fault has no typo. It has kind, error, "),
        (["--fault", "error,count"], "--fault: 'count' in 'error,count' is not a field=value"),
        (["--faults", "none.toml"], "--faults: none.toml cannot be read"),
        (["--outcomes", "bounce=often"], "--outcomes: bounce must be a number, not 'often'"),
        (["--webhook", "ftp://x"], "--webhook: target must be the URL of a webhook"),
        (["--queue", "q,events=Bounce+Bang"], "--queue: events must be one of Send, "),
        (["--secret", "x"], "--secret must be ACCESS_KEY_ID:SECRET_ACCESS_KEY"),
        (["--allow-user", "nobody-here"], "--allow-user: 'nobody-here' is no user of this host"),
    ],
)
def test_a_wrong_flag_is_explained(flags: list[str], text: str) -> None:
    ended = subprocess.run([*COMMAND, *flags], capture_output=True, text=True, check=False, timeout=120)

    assert ended.returncode == 2
    assert text in ended.stderr


def test_a_port_that_somebody_has_is_explained() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        flags = ["--port", str(taken.getsockname()[1])]
        ended = subprocess.run([*COMMAND, *flags], capture_output=True, text=True, check=False, timeout=120)

    assert ended.returncode == 2
    assert "it cannot listen" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_another_address_than_loopback_must_be_allowed() -> None:
    assert Options(host="192.0.2.1", allow_remote=True).host == "192.0.2.1"
    assert Options(host="::1").host == "::1"
    with pytest.raises(ValueError, match="--allow-remote"):
        Options(host="192.0.2.1")


def test_a_name_that_no_certificate_holds_is_told_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = Certificate.make(tmp_path, ["127.0.0.1", "my_simulator", "my-simulator"])
    certificate = x509.load_pem_x509_certificate(made.chain_file.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"localhost", "my-simulator"} <= set(names.get_values_for_type(x509.DNSName))
    assert "my_simulator" not in names.get_values_for_type(x509.DNSName)
    assert "A name with _ cannot be in a certificate" in caplog.text
    assert made.key_file.stat().st_mode & 0o777 == 0o600


def test_secrets_do_not_show_in_the_options() -> None:
    assert SECRET not in repr(Options(secret={"AKIDEXAMPLE": SECRET}))


def slowness(rounds: int = 4000) -> float:
    """How much longer than at ease this machine takes, in CPU time: caches and cores are shared with others."""
    body, at_ease = json.dumps(mail()), 7e-6
    start = time.process_time()
    for _ in range(rounds):
        hashlib.sha256(json.dumps(json.loads(body)).encode()).hexdigest()
    return max(1.0, (time.process_time() - start) / rounds / at_ease)


@pytest.mark.timing
def test_a_send_costs_less_than_half_a_millisecond(request_bytes: Callable[[str], bytes]) -> None:
    sends = 4000
    with Simulator(rate=1e6, quota=-1, smtp=False) as simulator:
        address = urlsplit(simulator.url)
        request = request_bytes(address.netloc)
        process = psutil.Process(simulator.pid)
        slow = slowness()
        before = process.cpu_times()
        with socket.create_connection((str(address.hostname), address.port or 0)) as connection:
            for _ in range(sends):
                connection.sendall(request)
                answer = b""
                while not answer.endswith(b"}"):
                    answer += connection.recv(4096)
                assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        after = process.cpu_times()
        slow = max(slow, slowness())
        assert simulator.stats()["accepted"] == sends

    # CPU and not wall time: the machine may be busy. 0.5 ms is 2,000 sends/s on one core.
    assert (after.user + after.system - before.user - before.system) / sends < 0.0005 * slow


def test_pipelined_requests_are_answered_in_order(simulator: Simulator, request_bytes: Callable[[str], bytes]) -> None:
    simulator.set_latency("uniform:0ms-2ms")
    address = urlsplit(simulator.url)
    requests = 200
    with socket.create_connection((str(address.hostname), address.port or 0), timeout=30) as connection:
        connection.sendall(request_bytes(address.netloc) * requests)
        received = b""
        while received.count(b"MessageId") < requests:
            received += connection.recv(65536)

    answered = [part.split(b'"')[1].decode() for part in received.split(b'"MessageId":')[1:]]
    assert answered == [row.ses_id for row in simulator.rows()]


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"HELO me\r\n\r\n", b"\x00" * 500]
)
def test_what_is_not_http_is_refused_and_the_next_is_served(simulator: Simulator, garbage: bytes) -> None:
    address = urlsplit(simulator.url)
    with socket.create_connection((str(address.hostname), address.port or 0), timeout=30) as connection:
        connection.sendall(garbage)
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")

    assert simulator.stats()["accepted"] == 0


def test_what_cannot_be_read_is_refused_behind_the_answers_to_what_came_before(
    simulator: Simulator, request_bytes: Callable[[str], bytes]
) -> None:
    simulator.set_latency("300ms")
    address = urlsplit(simulator.url)
    with socket.create_connection((str(address.hostname), address.port or 0), timeout=30) as connection:
        connection.sendall(request_bytes(address.netloc) * 2 + b"\0 no request\r\n\r\n")
        received = b""
        while piece := connection.recv(65536):
            received += piece

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200", b"200", b"400"]


@pytest.mark.parametrize("piece", [1 << 16, 100])
def test_who_offers_http_2_is_served_over_http_1(
    simulator: Simulator, request_bytes: Callable[[str], bytes], piece: int
) -> None:
    """Java's client does so with its first request to a plain endpoint."""
    address = urlsplit(simulator.url)
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk\r\n"
    send = request_bytes(address.netloc).replace(b"Content-Type:", offer + b"Content-Type:", 1)
    look = b"GET /_sim/clock HTTP/1.1\r\nHost: localhost\r\n" + offer + b"\r\n"
    last = request_bytes(address.netloc).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    requests = send * 3 + look + last
    assert offer in send
    with socket.create_connection((str(address.hostname), address.port or 0), timeout=30) as connection:
        for start in range(0, len(requests), piece):
            connection.sendall(requests[start : start + piece])
        received = b""
        while got := connection.recv(65536):
            received += got

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200"] * 5
    assert received.count(b"MessageId") == simulator.stats()["accepted"] == 4


def test_http_1_0_and_connection_close_are_honoured(simulator: Simulator) -> None:
    address = urlsplit(simulator.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    connection.request("GET", "/_sim/stats", headers={"Connection": "close"})
    response = connection.getresponse()

    assert response.headers["connection"] == "close"
    assert json.loads(response.read())["accepted"] == 0
    connection.close()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"secret": "wrong"}, "InvalidSignatureException"),
        ({"key": "AKIDUNKNOWN"}, "UnrecognizedClientException"),
    ],
)
def test_with_a_secret_signatures_are_checked(changes: dict[str, Any], code: str) -> None:
    with Simulator(smtp=False, secret=f"AKIDEXAMPLE:{SECRET}") as simulator:
        open_ses(simulator.url).send_email(**mail())
        wrong = open_ses(simulator.url, **changes)
        with pytest.raises(wrong.exceptions.ClientError) as caught:
            wrong.send_email(**mail())

        assert caught.value.response["Error"]["Code"] == code
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        assert len(simulator.messages()) == 1


def test_a_key_is_revoked_and_another_accepted_while_it_runs() -> None:
    with Simulator(smtp=False, smtps=True, secret=f"AKIDEXAMPLE:{SECRET}") as simulator:
        old, new = open_ses(simulator.url), open_ses(simulator.url, key="AKIDNEW", secret="new")
        old.send_email(**mail())
        simulator.set_secrets({"AKIDNEW": "new"})

        new.send_email(**mail())
        with pytest.raises(old.exceptions.ClientError, match="UnrecognizedClientException"):
            old.send_email(**mail())
        context = ssl.create_default_context(cafile=simulator.ca_file)
        with smtplib.SMTP_SSL(*simulator.smtps, context=context, timeout=30) as client:
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.login("AKIDEXAMPLE", smtp_password(SECRET, "us-east-1"))
            client.login("AKIDNEW", smtp_password("new", "us-east-1"))
        simulator.reset()
        old.send_email(**mail())


@pytest.mark.parametrize("wrong", [{"AKIDNEW": 1}, {"AKIDNEW": ""}, {"": "new"}, ["AKIDNEW"]])
def test_secrets_that_are_none_change_nothing(wrong: Any) -> None:
    with Simulator(smtp=False, secret=f"AKIDEXAMPLE:{SECRET}") as simulator:
        with pytest.raises(SimulatorError, match="400"):
            simulator.request("PUT", "/_sim/secrets", body=wrong)
        open_ses(simulator.url).send_email(**mail())


def test_an_unsigned_or_old_request_is_refused_when_signatures_are_checked() -> None:
    with Simulator(smtp=False, secret=f"AKIDEXAMPLE:{SECRET}") as simulator:
        address = urlsplit(simulator.url)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
        signed = {
            "X-Amz-Date": "20200101T000000Z",
            "Authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20200101/us-east-1/ses/aws4_request, "
            "SignedHeaders=host;x-amz-date, Signature=0",
        }
        answers = []
        for headers in ({}, signed):
            connection.request("GET", "/v2/email/account", headers=headers)
            response = connection.getresponse()
            answers.append(
                (response.status, response.headers["x-amzn-ErrorType"], json.loads(response.read())["Message"])
            )
        connection.close()

    assert answers[0] == (403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    assert answers[1][1] == "InvalidSignatureException"
    assert answers[1][2].startswith("Signature expired: 20200101T000000Z is now earlier than ")
    assert answers[1][2].endswith(" - 5 min.)")


@pytest.fixture
def request_bytes() -> Callable[[str], bytes]:
    """A SendEmail request as an SDK would write it, for the wire."""

    def make(host: str) -> bytes:
        body = json.dumps(mail(EmailTags=[{"Name": "mailer-id", "Value": "0123456789abcdef"}])).encode()
        head = (
            f"POST /v2/email/outbound-emails HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            "Authorization: AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/ses/aws4_request, "
            "SignedHeaders=host;x-amz-date, Signature=0\r\nX-Amz-Date: 20260101T000000Z\r\n"
            f"amz-sdk-invocation-id: 1139b0f0-6079-4304-ae9f-86cf60f2c14e\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    return make
