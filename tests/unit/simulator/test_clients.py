"""A tour of sends, limits and errors by clients that nobody changed: what SES would do, they are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import pytest

from mailer.simulator.client import Simulator
from mailer.simulator.wire.credentials import smtp_password
from tests.unit.simulator.clients.boto import Boto, DjangoSes
from tests.unit.simulator.clients.cli import Cli
from tests.unit.simulator.clients.client import SENDER, Client, Mail
from tests.unit.simulator.clients.node import Node
from tests.unit.simulator.clients.smtp import DjangoSmtp, Smtplib
from tests.unit.simulator.conftest import SECRET

KEY = "AKIDEXAMPLE"
PASSWORD = smtp_password(SECRET, "us-east-1")
MAIL = Mail()

CLIENTS: dict[str, Callable[[Simulator], Client]] = {
    "boto3 v1": lambda simulator: Boto("v1", simulator.url),
    "boto3 v2": lambda simulator: Boto("v2", simulator.url),
    "AWS CLI ses": lambda simulator: Cli("v1", simulator.url),
    "AWS CLI sesv2": lambda simulator: Cli("v2", simulator.url),
    "AWS SDK for JavaScript, client-ses": lambda simulator: Node("ses", simulator.url),
    "AWS SDK for JavaScript, client-sesv2": lambda simulator: Node("sesv2", simulator.url),
    "Nodemailer": lambda simulator: Node(
        "nodemailer",
        "smtp://{}:{}".format(*simulator.smtp),
        NODE_EXTRA_CA_CERTS=simulator.ca_file,
        SMTP_PASSWORD=PASSWORD,
    ),
    "smtplib": lambda simulator: Smtplib(simulator.smtp, KEY, PASSWORD, simulator.ca_file),
    "Django SMTP": lambda simulator: DjangoSmtp(simulator.smtp, KEY, PASSWORD),
    "django-ses v1": lambda simulator: DjangoSes("v1", simulator.url),
    "django-ses v2": lambda simulator: DjangoSes("v2", simulator.url),
}


class Refusal(NamedTuple):
    """How each family of clients is told: code and text."""

    v1: str
    v2: str
    smtp: str
    text: str


RATE = Refusal("Throttling", "TooManyRequestsException", "454", "Maximum sending rate exceeded")
QUOTA = Refusal("Throttling", "TooManyRequestsException", "454", "Daily message quota exceeded")
PAUSED = Refusal(
    "AccountSendingPausedException", "SendingPausedException", "554", "Sending paused for this account. For more"
)
UNVERIFIED = Refusal(
    *("MessageRejected", "MessageRejected", "554"),
    f"The following identities failed the check in region US-EAST-1: {SENDER}",
)
NO_SET = Refusal(
    *("ConfigurationSetDoesNotExist", "NotFoundException", "554"), "Configuration set <none> does not exist."
)
TOO_MANY = Refusal("InvalidParameterValue", "BadRequestException", "554", "Recipient count exceeds 50.")


@pytest.fixture(scope="module")
def account() -> Iterator[Simulator]:
    """Signatures and SMTP passwords are checked."""
    with Simulator(rate=1000, bucket=1000, control_rate=0, secret=f"{KEY}:{SECRET}") as simulator:
        yield simulator


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, account: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    account.reset()
    for name, value in {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "NO_PROXY": "127.0.0.1",
        "SSL_CERT_FILE": account.ca_file,
    }.items():
        monkeypatch.setenv(name, value)
    opened = CLIENTS[request.param](account)
    yield opened
    opened.close()


def refused(client: Client, mail: Mail, expected: Refusal) -> None:
    outcome = client.send(mail)

    assert not outcome.accepted
    assert getattr(expected, client.family) in outcome.said
    assert expected.text in outcome.said


def test_a_mail_arrives_as_it_was_sent(client: Client, account: Simulator) -> None:
    outcome = client.send(Mail(to=("ann@example.com", "bob@example.com"), subject="Grüße", text="Hallo, Ännchen."))

    assert outcome.accepted, outcome.said
    (message,) = account.messages(fields="ses_id,from,to,subject,text,transport")
    assert outcome.ses_id in {None, message.pop("ses_id")}
    assert message.pop("text").strip() == "Hallo, Ännchen."
    assert message == {
        "from": SENDER,
        "to": ["ann@example.com", "bob@example.com"],
        "subject": "Grüße",
        "transport": "smtp" if client.family == "smtp" else "http",
    }


def test_the_limits_hold_and_are_told(client: Client, account: Simulator) -> None:
    account.freeze_clock()
    account.set_account(rate=1, bucket=1)
    assert client.send(MAIL).accepted
    refused(client, MAIL, RATE)
    account.advance_clock(1)
    assert client.send(MAIL).accepted
    assert client.used() in {None, 2.0}

    account.set_account(quota=2)
    refused(client, MAIL, QUOTA)

    assert len(account.messages()) == 2


def test_the_errors_are_told(client: Client, account: Simulator) -> None:
    account.set_account(sending_enabled=False)
    refused(client, MAIL, PAUSED)
    account.set_account(sending_enabled=True, verified=[])
    refused(client, MAIL, UNVERIFIED)
    account.set_account(verified=None)
    refused(client, replace(MAIL, configuration_set="none"), NO_SET)
    refused(client, replace(MAIL, to=tuple(f"r{number}@example.com" for number in range(51))), TOO_MANY)

    assert account.messages() == []
