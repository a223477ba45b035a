"""The account's limits, as worker processes find them out and tell each other."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from mailer.operations.status import read_status
from mailer.ses.credentials import CredentialSource
from mailer.settings import Settings, load
from mailer.simulator.client import Simulator
from mailer.testbed.valkey import Valkey
from mailer.testbed.waiting import until
from mailer.worker.limits import refresh
from tests.support.post import PATIENT, Post
from tests.support.servers import RawServer, read_request


@pytest.fixture
def allows_nothing() -> Iterator[str]:
    """The address of an SES that allows no recipient a second."""
    answer = {
        "SendQuota": {"Max24HourSend": 0.0, "MaxSendRate": 0.0, "SentLast24Hours": 0.0},
        "SendingEnabled": True,
        "ProductionAccessEnabled": True,
        "EnforcementStatus": "SHUTDOWN",
    }
    body = json.dumps(answer).encode()

    def serve(connection: socket.socket) -> None:
        while read_request(connection):
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)

    with RawServer(serve) as server:
        yield server.url


def test_a_rate_of_nothing_stops_the_account_and_the_log_says_what_to_do(
    settings: Settings,
    client: redis.Redis,
    allows_nothing: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL_SESV2": allows_nothing,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }.items():
        monkeypatch.setenv(name, value)
    from_ses = settings.model_copy(update={"rate_per_second": None, "quota_per_day": None})
    refresh(from_ses, "host:1", CredentialSource(), ask=True)
    state = read_status(client, from_ses)
    assert (state.state, state.reason) == ("stopped", "MaxSendRate: SES allows this account 0 recipients a second")
    assert state.rate.per_second is None
    (said,) = caplog.messages
    assert said.startswith("Nothing is sent: SES allows this account 0 recipients a second (its standing is SHUTDOWN)")
    assert "the SES console of that Region" in said
    assert "MAILER_" not in said, "no setting lifts what SES does not allow"


def test_two_workers_with_different_settings_keep_to_the_lower_until_its_host_stops(
    valkey: Valkey, simulator: Simulator, tmp_path: Path
) -> None:
    simulator.reset()
    simulator.set_account(rate=300, bucket=300, quota=500)
    settings = load(redis_url=valkey.url, account="of-two-minds", data_dir=tmp_path, **PATIENT)
    post = Post(settings, simulator, tmp_path)

    def rate() -> float | None:
        return read_status(post.client, settings).rate.per_second

    try:
        post.worker(MAILER_RATE_PER_SECOND="200", MAILER_QUOTA_PER_DAY="-1")
        until(lambda: rate() == 200, "the first worker's setting holds")
        second = post.worker(MAILER_RATE_PER_SECOND="3")
        until(lambda: rate() == 3, "the lower one holds at once")
        until(
            lambda: read_status(post.client, settings).rate.ses_per_second == 300, "SES is asked for what is left open"
        )
        assert read_status(post.client, settings).quota.per_day == 500
        assert [each.variable for each in read_status(post.client, settings).differences] == [
            *("MAILER_RATE_PER_SECOND", "MAILER_QUOTA_PER_DAY"),
        ]
        second.stop(signal.SIGTERM)
        until(lambda: rate() == 200, "a worker that stops takes its setting along")
        assert read_status(post.client, settings).differences == ()
    finally:
        post.close()


def test_a_host_whose_key_is_refused_keeps_no_other_from_finding_out_what_the_account_may_send(
    valkey: Valkey, simulator: Simulator, tmp_path: Path
) -> None:
    simulator.reset()
    simulator.add_fault("error", error="expired-token", access_key="AKIAREFUSED", operation=None)
    settings = load(redis_url=valkey.url, account="new-account", data_dir=tmp_path, **PATIENT)
    post = Post(settings, simulator, tmp_path)
    try:
        bad = post.worker("-n", "bad@web-3", AWS_ACCESS_KEY_ID="AKIAREFUSED")
        post.send("first@example.com")
        until(lambda: bad.text.count("GetAccount failed") > 0, "the bad host has the first turn")
        post.worker("-n", "good@web-4")
        until(lambda: post.arrivals("first@example.com"), "the good host finds out, and sends", 30)
    finally:
        post.close()
        simulator.clear_faults()
