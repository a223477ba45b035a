"""A host whose clock is wrong sends all the same: AWS's refusals say what time it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mailer.delivery.outcome import Kind, deliver
from mailer.errors import HostUnfit, Misdated
from mailer.ses.access import ClientConfig
from mailer.ses.account import read_account
from mailer.ses.clock import AWS, Clock
from mailer.ses.transport import Transport
from mailer.settings import TransportKind
from mailer.simulator.client import Simulator
from tests.unit.ses.conftest import a_message

EXPIRED = "Signature expired: 20260101T000000Z is now earlier than 20260101T000500Z (20260101T001000Z - 5 min.)"
EARLY = "Signature not yet current: 20260101T002000Z is still later than 20260101T001500Z (20260101T001000Z + 5 min.)"
TEN_PAST = 1767226200.0


class Hands:
    """Two clocks that a test moves."""

    def __init__(self, wall: float) -> None:
        self.wall = wall
        self.clock = Clock(lambda: self.wall)


def refused(words: str) -> Misdated:
    return Misdated("SignatureDoesNotMatch", words)


@pytest.fixture
def hands() -> Hands:
    return Hands(TEN_PAST - 600)


@pytest.fixture(autouse=True)
def unknowing() -> Iterator[None]:
    """What one test has learned is not for the next."""
    AWS.__init__()  # type: ignore[misc]
    yield
    AWS.__init__()  # type: ignore[misc]


@pytest.mark.parametrize("words", [EXPIRED, EARLY])
def test_the_time_in_awss_words_is_taken(hands: Hands, words: str) -> None:
    hands.clock.learn(refused(words), "Thu, 01 Jan 2026 12:00:00 GMT")
    assert hands.clock.now() == TEN_PAST


@pytest.mark.parametrize("words", ["", "Signature expired", "(20261399T001000Z - 5 min.)"])
def test_without_it_the_date_header_is(hands: Hands, words: str) -> None:
    hands.clock.learn(refused(words), "Thu, 01 Jan 2026 00:10:00 GMT")
    assert hands.clock.now() == TEN_PAST


@pytest.mark.parametrize("date", [None, "", "yesterday", "Thu, 99 Jan 2026 00:10:00 GMT"])
def test_a_refusal_that_names_no_time_teaches_nothing(hands: Hands, date: str | None) -> None:
    hands.clock.learn(refused("Signature expired"), date)
    assert hands.clock.ahead == 0


def test_a_host_that_is_set_right_is_followed(hands: Hands) -> None:
    hands.clock.learn(refused(EXPIRED), None)
    hands.wall += 600
    assert hands.clock.now() == TEN_PAST + 600
    hands.clock.learn(refused(EXPIRED), None)
    assert hands.clock.ahead == 0


def test_only_a_refusal_of_the_date_moves_the_clock(hands: Hands) -> None:
    wrong_key = HostUnfit("SignatureDoesNotMatch", "The request signature we calculated does not match")
    assert hands.clock.learn(wrong_key, "Thu, 01 Jan 2026 00:10:00 GMT") is wrong_key
    assert hands.clock.ahead == 0
    misdated = refused(EXPIRED)
    assert hands.clock.learn(misdated, None) is misdated
    assert hands.clock.now() == TEN_PAST


@pytest.mark.parametrize("skew", [600, -600, 80_000])
@pytest.mark.parametrize("kind", ["ses", "boto3"])
def test_the_first_refusal_is_the_last(transport: Transport, kind: TransportKind, ses: Simulator, skew: int) -> None:
    ses.skew_clock(skew)
    first = deliver(a_message(), transport)
    assert (first.kind, first.code) == (Kind.MISDATED, "InvalidSignatureException")
    assert [deliver(a_message(), transport).kind for _ in range(3)] == [Kind.SENT] * 3
    assert abs(AWS.ahead - skew) < 10


@pytest.mark.parametrize("kind", ["ses", "boto3"])
def test_a_date_that_is_refused_though_the_clock_is_right_is_no_failure_of_the_message(
    transport: Transport, kind: TransportKind, ses: Simulator
) -> None:
    ses.add_fault("error", error="clock-skew", count=1)
    assert deliver(a_message(), transport).kind is Kind.MISDATED
    assert deliver(a_message(), transport).kind is Kind.SENT


def test_the_account_is_read_by_a_host_with_a_wrong_clock(ses: Simulator) -> None:
    ses.skew_clock(600)
    assert read_account(ClientConfig(endpoint_url=ses.url, ca_bundle=ses.ca_file)).max_send_rate == 1000
