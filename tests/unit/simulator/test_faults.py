"""Failures on request, over HTTP, as AWS's own client sees them."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

import pytest
from botocore.exceptions import ConnectionClosedError, HTTPClientError, ReadTimeoutError

from mailer.simulator.client import Simulator, SimulatorError
from mailer.simulator.fault import Fault
from mailer.simulator.faults import Faults
from mailer.simulator.latency import Latency
from tests.unit.simulator.conftest import Ses, mail, open_ses
from tests.unit.simulator.webhook import until

Refusal = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"error": "throttle"}, (429, "TooManyRequestsException", "Maximum sending rate exceeded.")),
        ({"error": "daily-quota"}, (429, "TooManyRequestsException", "Daily message quota exceeded.")),
        ({"error": "internal"}, (500, "InternalServiceErrorException", "Internal service error")),
        ({"error": "unavailable"}, (503, "ServiceUnavailable", "Service Unavailable")),
        ({"error": "unavailable", "status": 502, "code": "Odd", "text": "Very odd"}, (502, "Odd", "Very odd")),
    ],
)
def test_an_error_is_answered_once_and_nothing_is_accepted(
    ses: Ses, simulator: Simulator, refusal: Refusal, fields: dict[str, object], expected: tuple[int, str, str]
) -> None:
    simulator.add_fault("error", count=1, **fields)

    assert refusal(**mail()) == expected
    assert simulator.messages() == []
    ses.send_email(**mail())


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        ("paused", 400, "SendingPausedException"),
        ("suspended", 400, "AccountSuspendedException"),
        ("access-denied", 403, "AccessDeniedException"),
        ("expired-token", 403, "ExpiredTokenException"),
        ("bad-signature", 403, "InvalidSignatureException"),
        ("rejected", 400, "MessageRejected"),
        ("not-verified", 400, "MessageRejected"),
        ("bad-request", 400, "BadRequestException"),
    ],
)
def test_every_named_error_has_sess_code(
    simulator: Simulator, refusal: Refusal, error: str, status: int, code: str
) -> None:
    simulator.add_fault("error", error=error)

    assert refusal(**mail())[:2] == (status, code)
    assert sum(simulator.stats()["refused"].values()) == 1


def test_an_error_may_come_although_the_message_was_accepted(simulator: Simulator, refusal: Refusal) -> None:
    simulator.add_fault("error", error="internal", when="after")

    assert refusal(**mail())[0] == 500
    assert len(simulator.messages()) == 1


@pytest.mark.parametrize("kind", ["reset", "close"])
@pytest.mark.parametrize(("when", "accepted"), [("before", 0), ("after", 1)])
def test_a_dropped_connection_may_have_been_accepted(
    ses: Ses, simulator: Simulator, kind: str, when: str, accepted: int
) -> None:
    simulator.add_fault(kind, when=when, count=1)

    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        ses.send_email(**mail())

    assert len(simulator.messages()) == accepted
    assert simulator.stats()["faults"] == {f"{kind}-{when}": 1}
    ses.send_email(**mail())


def test_silence_outlasts_the_clients_read_timeout(simulator: Simulator) -> None:
    simulator.add_fault("silence", count=1)

    with pytest.raises(ReadTimeoutError):
        open_ses(simulator.url, read_timeout=0.3).send_email(**mail())

    until(lambda: len(simulator.messages()) == 1)


def test_a_malformed_answer_cannot_be_read(ses: Ses, simulator: Simulator) -> None:
    simulator.add_fault("malformed", count=1)

    # boto3 takes the broken JSON for an empty answer.
    assert "MessageId" not in ses.send_email(**mail())
    assert len(simulator.messages()) == 1


def test_an_idle_connection_can_be_closed_behind_a_good_answer(ses: Ses, simulator: Simulator) -> None:
    before = simulator.stats()["connections"]["http"]
    simulator.add_fault("close-idle", count=1)
    ses.send_email(**mail())
    until(lambda: simulator.stats()["connections"]["http"]["open"] <= before["open"])
    ses.send_email(**mail())

    assert simulator.stats()["connections"]["http"]["opened"] == before["opened"] + 2


def test_answers_take_the_latency_asked_for(ses: Ses, simulator: Simulator) -> None:
    ses.send_email(**mail())
    simulator.set_latency("150ms")
    start = time.monotonic()
    ses.send_email(**mail())
    assert time.monotonic() - start >= 0.15

    simulator.add_fault("latency", latency="200ms", count=1)
    start = time.monotonic()
    ses.send_email(**mail())
    assert time.monotonic() - start >= 0.35


def test_a_message_is_accepted_when_it_arrives_and_not_when_it_is_answered(simulator: Simulator) -> None:
    simulator.set_latency("600s")

    with pytest.raises(ReadTimeoutError):
        open_ses(simulator.url, read_timeout=0.2).send_email(**mail())

    until(lambda: len(simulator.messages()) == 1)


def test_a_fault_strikes_only_what_it_names(ses: Ses, simulator: Simulator) -> None:
    simulator.add_fault("error", error="throttle", recipient="ann@")
    ses.send_email(**mail("bob@example.com"))
    ses.get_account()
    with pytest.raises(ses.exceptions.TooManyRequestsException):
        ses.send_email(**mail("ann@example.com"))

    simulator.clear_faults()
    simulator.add_fault("error", error="unavailable", operation="account")
    ses.send_email(**mail("ann@example.com"))
    with pytest.raises(ses.exceptions.ClientError, match="Service Unavailable"):
        ses.get_account()


def test_a_fault_may_strike_one_key_only(simulator: Simulator) -> None:
    simulator.add_fault("error", error="expired-token", access_key="AKIAREVOKED", operation=None)
    other, revoked = (open_ses(simulator.url, key=key) for key in ("AKIAGOOD", "AKIAREVOKED"))
    other.send_email(**mail())
    for call in (lambda: revoked.send_email(**mail()), revoked.get_account):
        with pytest.raises(revoked.exceptions.ClientError, match="expired"):
            call()


def test_a_count_runs_down_and_is_shown(ses: Ses, simulator: Simulator, refusal: Refusal) -> None:
    simulator.add_fault("error", error="throttle", count=2)
    refusal(**mail())
    (left,) = simulator.faults()
    assert left["count"] == 1

    refusal(**mail())
    assert simulator.faults() == []
    ses.send_email(**mail())


def test_what_comes_after_the_acceptance_waits_for_one(ses: Ses, simulator: Simulator, refusal: Refusal) -> None:
    simulator.add_fault("reset", when="after", count=1)
    simulator.set_account(quota=0)
    assert refusal(**mail())[2] == "Daily message quota exceeded."
    (left,) = simulator.faults()
    assert left["count"] == 1
    assert simulator.stats()["faults"] == {}

    simulator.set_account(quota=9)
    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        ses.send_email(**mail())
    assert simulator.stats()["faults"] == {"reset-after": 1}


def test_faults_can_be_given_at_the_start() -> None:
    with Simulator(smtp=False, fault=["error,error=throttle,count=1", "reset,count=1"]) as simulator:
        ses = open_ses(simulator.url)
        with pytest.raises(ses.exceptions.TooManyRequestsException):
            ses.send_email(**mail())
        with pytest.raises((ConnectionClosedError, HTTPClientError)):
            ses.send_email(**mail())
        ses.send_email(**mail())

        simulator.reset()
        assert [fault["kind"] for fault in simulator.faults()] == ["error", "reset"]


def test_a_probability_is_kept() -> None:
    faults = Faults([Fault(kind="reset", probability=0.3)], Random(1))

    struck = sum(faults.strike("send", "http").after is not None for _ in range(10_000))

    assert struck == pytest.approx(3000, abs=150)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "explode"},
        {"kind": "error", "error": "no such"},
        {"kind": "reset", "when": "never"},
        {"kind": "reset", "probability": 2},
        {"kind": "reset", "count": 0},
        {"kind": "reset", "count": "3"},
        {"kind": "latency", "latency": "soon"},
        {"kind": "reset", "typo": 1},
        {"kind": "error", "status": 99},
        {"kind": "error", "code": "\ud800"},
        {"kind": "error", "smtp": "454 a\r\n250 b"},
        {},
    ],
)
def test_a_wrong_fault_is_refused_with_what_is_wrong(simulator: Simulator, wrong: dict[str, object]) -> None:
    with pytest.raises(SimulatorError, match=r"400 ."):
        simulator.request("PUT", "/_sim/faults", body=[wrong])

    assert simulator.faults() == []


@pytest.mark.parametrize("text", ["20ms", "0.02", "fixed:20ms", "20000us"])
def test_a_fixed_latency_is_always_the_same(text: str) -> None:
    assert Latency.parse(text).sample(Random(1)) == pytest.approx(0.02)


def test_latencies_follow_their_distribution() -> None:
    random = Random(1)
    uniform = [Latency.parse("uniform:10ms-50ms").sample(random) for _ in range(5000)]
    lognormal = sorted(Latency.parse("lognormal:20ms/0.5").sample(random) for _ in range(5000))

    assert 0.01 <= min(uniform) < 0.011
    assert 0.049 < max(uniform) <= 0.05
    assert lognormal[2500] == pytest.approx(0.02, rel=0.05)
    assert lognormal[4950] == pytest.approx(0.02 * 3.2, rel=0.15)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fast",
        "uniform:10ms",
        "uniform:50ms-10ms",
        "lognormal:20ms",
        "lognormal:20ms/1e9",
        "lognormal:20ms/nan",
        "20 m",
        "-1ms",
        "99999999999h",
    ],
)
def test_a_wrong_latency_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"latency|duration"):
        Latency.parse(text)
