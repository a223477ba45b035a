"""What SES says of the account that no worker could make anything of."""

from __future__ import annotations

import json
import socket

import pytest
import redis

from mailer.broker.keys import Keys
from mailer.errors import AccountStopped
from mailer.settings import Settings
from mailer.worker.limits import refresh
from tests.ses.servers import RawServer, read_request


def test_a_rate_of_nothing_is_no_rate_to_reckon_with(
    settings: Settings, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
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

    from_ses = settings.model_copy(update={"rate_per_second": None, "quota_per_day": None})
    with RawServer(serve) as server:
        for name, value in {
            "AWS_ENDPOINT_URL_SESV2": server.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(AccountStopped, match="no recipient a second"):
            refresh(from_ses)
    assert client.hget(Keys.of(from_ses).account, "rate") is None
