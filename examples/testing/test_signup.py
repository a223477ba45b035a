"""How the application behaves with an SES that has limits, loses answers, and bounces mail."""
# ruff: noqa: S101 - tests assert

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, HTTPClientError
from signup import bounced, welcome, welcome_all

from mailer.simulator.client import Simulator


def test_a_new_customer_is_welcomed_by_name(ses_simulator: Simulator) -> None:
    ses_id = welcome("ann@example.com", "Ann")

    message = ses_simulator.message(ses_id)
    assert message["to"] == ["ann@example.com"]
    assert message["subject"] == "Welcome to the club"
    assert "Dear Ann" in message["text"]
    assert message["tags"] == {"campaign": "welcome"}


@pytest.mark.ses_simulator(rate=20, bucket=1)
def test_many_customers_are_welcomed_at_the_rate_of_the_account(ses_simulator: Simulator) -> None:
    waits = welcome_all((f"customer{number}@example.com", "you") for number in range(15))

    assert waits > 0
    assert len(ses_simulator.messages()) == 15
    assert ses_simulator.duplicates() == []


@pytest.mark.ses_simulator(quota=2)
def test_the_day_after_a_used_up_quota_mail_goes_out_again(ses_simulator: Simulator) -> None:
    ses_simulator.freeze_clock()
    for name in ("Ann", "Bob"):
        welcome(f"{name}@example.com", name)
    with pytest.raises(ClientError, match="Daily message quota exceeded"):
        welcome("cleo@example.com", "Cleo")

    ses_simulator.advance_clock(24 * 60 * 60)
    welcome("cleo@example.com", "Cleo")


@pytest.mark.ses_simulator(faults=[{"kind": "reset", "when": "after", "count": 1}])
def test_a_lost_answer_does_not_tell_whether_the_mail_went_out(ses_simulator: Simulator) -> None:
    with pytest.raises(HTTPClientError):
        welcome("ann@example.com", "Ann")

    assert len(ses_simulator.messages()) == 1, "it did: sending again would be a duplicate"
    assert ses_simulator.resends() == []


def test_who_bounces_is_known(ses_simulator: Simulator) -> None:
    welcome("bounce+ann@simulator.amazonses.com", "Ann")
    welcome("success@simulator.amazonses.com", "Bob")

    assert bounced("feedback", ses_simulator.url) == {"bounce+ann@simulator.amazonses.com"}


@pytest.mark.ses_simulator(sandbox=True, verified=["example.com"])
def test_in_the_sandbox_strangers_get_nothing(ses_simulator: Simulator) -> None:
    with pytest.raises(ClientError, match="not verified"):
        welcome("ann@elsewhere.example", "Ann")

    assert ses_simulator.messages() == []
