"""A simulator over TLS for all transports, and a clean AWS environment with the account's key."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mailer.mail.address import Address, parse
from mailer.mail.content import Structured
from mailer.mail.message import Message
from mailer.ses.access import ClientConfig
from mailer.ses.transport import Transport
from mailer.ses.transports import open_transport
from mailer.settings import TransportKind
from mailer.simulator.certificate import Certificate
from mailer.simulator.client import Simulator
from mailer.testbed.environment import ACCESS_KEY, SECRET_KEY
from tests.support.aws import aws_environment

__all__ = ["aws_environment"]

KINDS: tuple[TransportKind, ...] = ("ses", "boto3", "smtp")

Opener = Callable[..., Transport]


@pytest.fixture(scope="session")
def _ses() -> Iterator[Simulator]:
    with Simulator(
        rate=1000,
        bucket=1000,
        control_rate=0,
        tls=True,
        secret=f"{ACCESS_KEY}:{SECRET_KEY}",
        seed=7,
        configuration_set="main-set",
    ) as simulator:
        yield simulator


@pytest.fixture
def ses(_ses: Simulator) -> Simulator:
    """The simulator in its initial state."""
    _ses.reset()
    return _ses


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> TransportKind:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def opener(ses: Simulator, kind: TransportKind) -> Iterator[Opener]:
    """Opens transports to the simulator, and closes them at the end. Keywords replace its addresses and options."""
    opened: list[Transport] = []

    def open_one(**changes: Any) -> Transport:
        host, port = ses.smtp
        given: dict[str, Any] = {
            "ca_bundle": ses.ca_file,
            "connect_timeout": 10.0,
            "read_timeout": 10.0,
            "endpoint_url": ses.url,
            "smtp_url": f"smtp://{host}:{port}",
        }
        opened.append(open_transport(kind, ClientConfig(**{**given, **changes})))
        return opened[-1]

    yield open_one
    for transport in opened:
        transport.close()


@pytest.fixture
def transport(opener: Opener) -> Transport:
    return opener()


@pytest.fixture(scope="session")
def strangers_ca(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The certificate of an authority that signed no certificate of these tests."""
    return str(Certificate.make(tmp_path_factory.mktemp("stranger")).ca_file)


def a_message(**changes: Any) -> Message:
    """A message of structured content. ``changes`` replace its fields, also ``id`` and ``to`` (an address)."""
    given: dict[str, Any] = {
        "sender": "News <news@example.com>",
        "to": "ann@example.com",
        "subject": "Hello",
        "text": "Hello, Ann.\n",
    }
    fields = {**given, **changes}
    message_id, to = fields.pop("id", None) or str(uuid.uuid4()), fields.pop("to")
    return Message(message_id, to if isinstance(to, Address) else parse(to), Structured(**fields))


def in_parallel(times: int, work: Callable[[int], object]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
