"""What every transport promises, over TLS against the simulator."""

from __future__ import annotations

import base64
import multiprocessing
import time
from pathlib import Path
from typing import Any

import pytest

from mailer.delivery.outcome import Kind, Outcome, deliver
from mailer.errors import HostUnfit
from mailer.mail.attachment import Attachment
from mailer.ses.transport import Transport
from mailer.settings import TransportKind
from mailer.simulator.client import Simulator
from mailer.testbed.waiting import free_port
from tests.unit.ses.conftest import Opener, a_message, in_parallel


def connections(ses: Simulator, kind: TransportKind) -> int:
    """Opened to it so far, besides the one that asks."""
    opened: int = ses.stats()["connections"]["smtp" if kind == "smtp" else "http"]["opened"]
    return opened


def test_an_accepted_message_has_the_id_that_ses_gave_it(transport: Transport, ses: Simulator) -> None:
    outcome = deliver(a_message(), transport)

    assert outcome.kind is Kind.SENT
    assert outcome.ses_id is not None
    assert [row.ses_id for row in ses.rows()] == [outcome.ses_id]


def test_content_arrives_intact(transport: Transport, ses: Simulator) -> None:
    text = "Grüße aus Köln\n.leading dot\n..two\n" + "long " * 300 + "\nend"
    html = "<p>Ünïcode &amp; <b>bold</b></p>\n<p>" + "x" * 1200 + "</p>"
    url = "<https://example.com/unsubscribe/" + "u" * 400 + ">"
    subject = "Schöne Grüße " + "und mehr " * 20 + "✓"
    message = a_message(
        sender="=?utf-8?b?SsO8cmdlbg==?= <juergen@example.com>",
        to='"Doe, Ann" <ann@example.com>',
        subject=subject,
        text=text,
        html=html,
        reply_to=("a@example.com", "B <b@example.com>"),
        headers=(("List-Unsubscribe", url), ("X-Campaign", "spring 2026")),
        attachments=(Attachment("Rëchnung.pdf", bytes(range(256)) * 50, "application/pdf"), Attachment("a.txt", b"")),
        configuration_set="main-set",
        tags=(("campaign", "spring"), ("ab", "B")),
    )

    ses_id = transport.send(message)

    got = ses.message(ses_id)
    headers = dict(got["headers"])
    assert got["subject"] == subject
    assert got["text"].replace("\r\n", "\n").rstrip("\n") == text
    assert got["html"].replace("\r\n", "\n").rstrip("\n") == html
    assert headers["List-Unsubscribe"] == url
    assert headers["X-Campaign"] == "spring 2026"
    assert headers["Reply-To"] == "a@example.com, B <b@example.com>"
    assert got["configuration_set"] == "main-set"
    assert got["tags"] == {"mailer-id": message.id, "campaign": "spring", "ab": "B"}
    assert [(each["filename"], each["content_type"]) for each in got["attachments"]] == [
        ("Rëchnung.pdf", "application/pdf"),
        ("a.txt", "application/octet-stream"),
    ]
    assert base64.b64decode(got["attachments"][0]["content"]) == bytes(range(256)) * 50


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("throttle", Kind.THROTTLED),
        ("daily-quota", Kind.OVER_QUOTA),
        ("paused", Kind.STOPPED),
        ("suspended", Kind.STOPPED),
        ("access-denied", Kind.DENIED),
        ("rejected", Kind.REJECTED),
        ("not-verified", Kind.REJECTED),
        ("bad-request", Kind.REJECTED),
        ("unavailable", Kind.FAILED),
    ],
)
def test_a_refusal_becomes_the_outcome_that_says_what_to_do(
    transport: Transport, ses: Simulator, fault: str, expected: Kind
) -> None:
    ses.add_fault("error", error=fault, count=1)

    refused, sent = deliver(a_message(), transport), deliver(a_message(), transport)

    assert refused.kind is expected, refused
    assert refused.detail
    assert sent.kind is Kind.SENT


def test_the_accounts_own_limits_refuse_alike(transport: Transport, ses: Simulator) -> None:
    ses.set_account(quota=2)
    assert [deliver(a_message(), transport).kind for _ in range(3)] == [Kind.SENT, Kind.SENT, Kind.OVER_QUOTA]

    ses.set_account(quota=-1, sending_enabled=False)
    assert deliver(a_message(), transport).kind is Kind.STOPPED


def test_an_internal_error_leaves_open_whether_ses_took_it_unless_it_says_no(
    transport: Transport, ses: Simulator, kind: TransportKind
) -> None:
    ses.add_fault("error", error="internal", count=1)

    # SMTP's answer is 451, which says no.
    assert deliver(a_message(), transport).kind is (Kind.FAILED if kind == "smtp" else Kind.UNKNOWN)


@pytest.mark.parametrize("warm", [False, True], ids=["first use of the connection", "connection in use"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", ["reset", "close"])
def test_a_connection_lost_after_the_request_is_unknown_and_never_sent_again(
    transport: Transport, ses: Simulator, fault: str, when: str, warm: bool
) -> None:
    if warm:
        transport.send(a_message(to="warm@example.com"))
    requests = sum(ses.stats()["requests"].values())
    ses.add_fault(fault, when=when, count=1)

    outcome = deliver(a_message(), transport)

    assert outcome.kind is Kind.UNKNOWN, outcome
    assert sum(ses.stats()["requests"].values()) - requests <= 1
    assert len(ses.messages(recipient="ann@")) == (0 if when == "before" else 1)
    assert deliver(a_message(), transport).kind is Kind.SENT


def test_no_answer_within_the_read_timeout_is_unknown(opener: Opener, ses: Simulator) -> None:
    transport = opener(connect_timeout=1.0, read_timeout=4.0)
    transport.send(a_message())
    ses.add_fault("silence", count=1)

    start = time.monotonic()
    outcome = deliver(a_message(), transport)

    assert outcome.kind is Kind.UNKNOWN
    assert 3.9 < time.monotonic() - start < 60
    assert deliver(a_message(), transport).kind is Kind.SENT


def test_an_answer_that_cannot_be_read_is_unknown(transport: Transport, ses: Simulator) -> None:
    ses.add_fault("malformed", count=1)

    assert deliver(a_message(), transport).kind is Kind.UNKNOWN


def test_a_refused_connection_is_surely_not_sent(opener: Opener) -> None:
    port = free_port()
    transport = opener(endpoint_url=f"https://127.0.0.1:{port}", smtp_url=f"smtp://127.0.0.1:{port}")

    assert deliver(a_message(), transport).kind is Kind.UNREACHABLE


def test_many_messages_share_one_connection(transport: Transport, ses: Simulator, kind: TransportKind) -> None:
    transport.send(a_message())
    before = connections(ses, kind)

    for _ in range(20):
        transport.send(a_message())

    assert connections(ses, kind) == before


def test_a_connection_closed_while_idle_is_replaced_unnoticed(transport: Transport, ses: Simulator) -> None:
    for _ in range(5):
        ses.add_fault("close-idle", count=1)
        assert deliver(a_message(), transport).kind is Kind.SENT
        time.sleep(0.05)

    assert deliver(a_message(), transport).kind is Kind.SENT
    assert sum(1 for _ in ses.rows()) == 6


def test_a_server_with_an_unknown_certificate_gets_nothing(opener: Opener, ses: Simulator, strangers_ca: str) -> None:
    outcome = deliver(a_message(), opener(ca_bundle=strangers_ca))

    assert outcome.kind is Kind.UNREACHABLE, outcome
    assert "certificate" in outcome.detail.lower()
    assert not list(ses.rows())


def test_the_certificates_of_aws_ca_bundle_are_trusted(
    opener: Opener, ses: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", ses.ca_file)

    assert deliver(a_message(), opener(ca_bundle=None)).kind is Kind.SENT


def test_refused_credentials_are_the_host_s_fault(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not the secret")

    assert deliver(a_message(), opener()).kind is Kind.UNFIT


def test_missing_credentials_are_this_hosts_alone(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")

    assert deliver(a_message(), opener()).kind is Kind.UNFIT


def test_a_command_for_credentials_that_is_not_there_is_this_hosts_alone(
    opener: Opener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[default]\ncredential_process = /nonexistent/command\n")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")

    outcome = deliver(a_message(), opener())

    assert outcome.kind is Kind.UNFIT, outcome
    assert "/nonexistent/command" in outcome.detail


def test_a_token_file_that_is_not_there_is_this_hosts_alone(
    opener: Opener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/sender")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))

    assert deliver(a_message(), opener()).kind is Kind.UNFIT


def test_certificates_that_are_not_there_are_this_hosts_alone(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nonexistent.pem")

    outcome = deliver(a_message(), opener(ca_bundle=None))

    assert outcome.kind is Kind.UNFIT, outcome
    assert "/nonexistent.pem" in outcome.detail


@pytest.mark.parametrize("missing", ["AWS_REGION", "AWS_SECRET_ACCESS_KEY", "both keys"])
def test_a_transport_that_is_prepared_says_whether_this_host_can_send(
    opener: Opener, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    opener().prepare()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if missing == "both keys" else (missing,):
        monkeypatch.delenv(name)

    with pytest.raises(HostUnfit):
        opener().prepare()


def test_threads_share_a_transport(transport: Transport, ses: Simulator, kind: TransportKind) -> None:
    outcomes: list[Outcome] = []
    before = connections(ses, kind)

    def send(number: int) -> None:
        messages = [a_message(to=f"user{number}@example.com") for _ in range(10)]
        outcomes.extend(deliver(message, transport) for message in messages)

    in_parallel(8, send)

    assert {outcome.kind for outcome in outcomes} == {Kind.SENT}
    assert len({outcome.ses_id for outcome in outcomes}) == 80
    assert connections(ses, kind) - before <= 8


@pytest.mark.parametrize("kind", ["ses", "boto3"])
def test_all_connections_that_were_needed_at_once_stay_open(
    transport: Transport, ses: Simulator, kind: TransportKind
) -> None:
    at_once = 48
    before = connections(ses, kind)
    ses.add_fault("latency", latency="300ms")

    for _ in range(3):
        in_parallel(at_once, lambda _: transport.send(a_message()))

    assert connections(ses, kind) - before <= at_once


def test_a_closed_transport_opens_again_at_the_next_send(transport: Transport) -> None:
    transport.send(a_message())
    transport.close()

    assert deliver(a_message(), transport).kind is Kind.SENT


def _send_in_child(transport: Transport, results: Any) -> None:
    results.put(deliver(a_message(to="child@example.com"), transport).kind.word)


def test_a_forked_child_uses_connections_of_its_own(transport: Transport, ses: Simulator, kind: TransportKind) -> None:
    transport.send(a_message())
    before = connections(ses, kind)
    context = multiprocessing.get_context("fork")
    results = context.Queue()

    child = context.Process(target=_send_in_child, args=(transport, results))
    child.start()
    from_child = results.get(timeout=60)
    child.join(60)

    assert from_child == "sent"
    assert connections(ses, kind) == before + 1
    assert deliver(a_message(), transport).kind is Kind.SENT
    assert connections(ses, kind) == before + 1


def test_a_forked_child_that_closes_the_transport_leaves_its_parents_connections_open(
    transport: Transport, ses: Simulator, kind: TransportKind
) -> None:
    transport.send(a_message())
    before = connections(ses, kind)

    child = multiprocessing.get_context("fork").Process(target=transport.close)
    child.start()
    child.join(60)

    assert child.exitcode == 0
    assert deliver(a_message(), transport).kind is Kind.SENT
    assert connections(ses, kind) == before
