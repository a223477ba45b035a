from __future__ import annotations

from dataclasses import replace

import pytest

from mailer.errors import HostUnfit, OutcomeUnknown, RateExceeded, Unreachable
from mailer.ses.access import ClientConfig
from mailer.ses.account import AccountLimits, read_account
from mailer.ses.boto import BotoTransport
from mailer.ses.credentials import CredentialSource
from mailer.ses.transports import open_transport
from mailer.simulator.client import Simulator
from mailer.testbed.waiting import free_port
from tests.unit.ses.conftest import a_message


def test_it_reads_what_ses_says_of_the_account(ses: Simulator) -> None:
    ses.set_account(rate=14, quota=50_000)
    with open_transport("ses", ClientConfig(endpoint_url=ses.url, ca_bundle=ses.ca_file)) as transport:
        transport.send(a_message())

    limits = read_account(ClientConfig(endpoint_url=ses.url, ca_bundle=ses.ca_file))
    assert limits.ahead is not None
    assert abs(limits.ahead) < 30
    assert replace(limits, ahead=None) == AccountLimits(
        max_send_rate=14.0,
        max_24_hour_send=50_000.0,
        sent_last_24_hours=1.0,
        sending_enabled=True,
        production_access=True,
        enforcement_status="HEALTHY",
    )


def test_an_unlimited_quota_is_none(ses: Simulator) -> None:
    ses.set_account(quota=-1, sending_enabled=False, sandbox=True)

    limits = read_account(ClientConfig(endpoint_url=ses.url, ca_bundle=ses.ca_file))

    assert limits.max_24_hour_send is None
    assert not limits.sending_enabled
    assert not limits.production_access


def test_too_many_calls_are_told_to_wait(ses: Simulator) -> None:
    ses.add_fault("error", error="control-rate", operation="account", count=1)

    with pytest.raises(RateExceeded):
        read_account(ClientConfig(endpoint_url=ses.url, ca_bundle=ses.ca_file))
    read_account(ClientConfig(endpoint_url=ses.url, ca_bundle=ses.ca_file))


def test_its_failures_are_those_of_sending(ses: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unreachable):
        read_account(ClientConfig(endpoint_url=f"http://127.0.0.1:{free_port()}"))
    ses.add_fault("silence", operation="account", count=1)
    with pytest.raises(OutcomeUnknown):
        read_account(ClientConfig(endpoint_url=ses.url, ca_bundle=ses.ca_file, read_timeout=0.3))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(HostUnfit):
        read_account(ClientConfig(endpoint_url=ses.url, ca_bundle=ses.ca_file))


def test_no_error_is_its_own_cause(ses: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ClientConfig(endpoint_url=ses.url, ca_bundle=ses.ca_file)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(HostUnfit) as without_credentials:
        read_account(config, CredentialSource())
    monkeypatch.setenv("HTTPS_PROXY", "http://[")
    with pytest.raises(HostUnfit) as without_way:
        read_account(config)
    with pytest.raises(HostUnfit) as unprepared:
        BotoTransport(config).prepare()
    for each in (without_credentials, without_way, unprepared):
        assert each.value.__cause__ is not each.value
