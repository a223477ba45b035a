"""All that can be said at the simulator's start. Each field is a flag, with its docstring as the help."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, model_validator

from mailer.guard import checked_name, is_loopback
from mailer.simulator import fault_file
from mailer.simulator.events.destination import Destination
from mailer.simulator.events.outcomes import Outcomes
from mailer.simulator.fault import KINDS, Fault
from mailer.simulator.latency import AT_ONCE, Duration
from mailer.simulator.spec import Spec, said
from mailer.simulator.terms import Terms
from mailer.user import uid_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Port = Annotated[int, Field(ge=0, le=65_535)]


def _each(parse: Callable[[str], Any]) -> BeforeValidator:
    """Parses the texts of a flag that may come several times."""
    return BeforeValidator(lambda given: tuple(parse(each) if isinstance(each, str) else each for each in given))


def _users(given: Iterable[str]) -> tuple[str, ...]:
    users = tuple(user for text in given for user in text.split(",") if user)
    for user in users:
        uid_of(user)
    return users


def _faults(given: Iterable[str | Path | Fault]) -> tuple[Fault, ...]:
    return tuple(
        fault for each in given for fault in ((each,) if isinstance(each, Fault) else fault_file.load(Path(each)))
    )


def _secrets(given: dict[str, str] | list[str]) -> dict[str, str]:
    pairs = given if isinstance(given, dict) else dict(text.partition(":")[::2] for text in given)
    if not all(key and secret for key, secret in pairs.items()):
        raise ValueError("must be ACCESS_KEY_ID:SECRET_ACCESS_KEY")
    return pairs


class Listening(Spec):
    """Where it listens, and to whom"""

    host: str = "127.0.0.1"
    """loopback only, unless --allow-remote"""
    port: Port = 9025
    """HTTP: the SES API and /_sim/; 0 takes a free one"""
    smtp_port: Port | None = None
    """SMTP with STARTTLS, as SES on 587; 0 takes a free one; without it no SMTP"""
    smtps_port: Port | None = None
    """SMTP with TLS from the start, as SES on 465"""
    smtp_idle_seconds: float = Field(10.0, gt=0)
    """an idle SMTP connection is closed after so long"""
    smtp_insecure: bool = False
    """SMTP without TLS and AUTH, which SES never allows"""
    tls: bool = False
    """HTTPS, with a certificate made at start"""
    allow_remote: bool = False
    """listen on other than loopback: anyone who reaches the port, every user of this host too, can then read the mail
    and change the account"""
    allow_host: Annotated[tuple[str, ...], _each(checked_name), said(metavar="NAME")] = ()
    """a name under which it is reached, besides loopback's and the address it listens on; no other is answered"""
    allow_user: Annotated[tuple[str, ...], BeforeValidator(_users), said(metavar="NAME[,NAME...]")] = ()
    """users of this host who may read and change all of it, besides the one who runs it and root"""
    connections: int = Field(2000, ge=1)
    """open at once over HTTP, and as many over SMTP"""
    http_idle_seconds: float = Field(60.0, gt=0)
    """how long an HTTP client may keep a connection waiting, idle or in the middle of a request"""
    ready_file: Path | None = None
    """write the ready line there too"""
    stop_with_stdin: bool = False
    """end when standard input ends: a simulator that a test starts must not outlive it, however the test dies"""


class Granted(Terms):
    """The account (of each Region)"""

    configuration_set: Annotated[tuple[str, ...], said(metavar="NAME")] = ()
    """one that is there at the start"""
    region: str = "us-east-1"
    """of unsigned requests, of SMTP without a secret, and of control calls that name none"""
    secret: Annotated[dict[str, str], BeforeValidator(_secrets), said(metavar="KEY:SECRET")] = Field({}, repr=False)
    """check signatures and SMTP passwords; without any, all will do"""


class Trouble(Spec):
    """Trouble"""

    latency: Duration = AT_ONCE
    """of every answer: 20ms, uniform:10ms-50ms or lognormal:20ms/0.5 (median/sigma)"""
    fault: Annotated[tuple[Fault, ...], _each(Fault.parse), said(metavar="KIND[,FIELD=VALUE...]")] = Field(
        (), description=f"{', '.join(KINDS)}; with {'=, '.join(list(Fault.model_fields)[1:])}="
    )
    faults: Annotated[tuple[Fault, ...], BeforeValidator(_faults), said(metavar="FILE")] = ()
    """the same from TOML or JSON"""
    seed: int | None = None
    """make chances and ids repeat"""


class Feedback(Spec):
    """Events"""

    outcomes: Annotated[
        Outcomes,
        BeforeValidator(lambda given: Outcomes.parse(given) if isinstance(given, str) else given),
        said(metavar="NAME=VALUE,..."),
    ] = Field(Outcomes(), description=f"what becomes of mail: {'=, '.join(Outcomes.model_fields)}=")
    webhook: Annotated[
        tuple[Destination, ...],
        _each(lambda text: Destination.parse(text, kind="webhook")),
        said(metavar="URL[,FIELD=VALUE...]"),
    ] = Field(
        (),
        description="post events there as signed SNS messages; + joins several events; with "
        f"{'=, '.join(list(Destination.model_fields)[2:])}=",
    )
    allow_webhook: Annotated[tuple[str, ...], said(metavar="HOST")] = ()
    """the control API may set webhooks to this host, besides loopback and those above"""
    queue: Annotated[
        tuple[Destination, ...],
        _each(lambda text: Destination.parse(text, kind="queue")),
        said(metavar="NAME[,FIELD=VALUE...]"),
    ] = ()
    """put events into this queue, for SQS clients at the same address; with the same fields"""


class Memory(Spec):
    """Memory"""

    keep: int = Field(10_000, ge=0)
    """whole messages, and four times as many events"""
    keep_bytes: int = Field(256 * 1024 * 1024, ge=0)
    """bytes of whole messages, in their clients' form"""
    keep_rows: int = Field(1_000_000, ge=0)
    """short rows, about 150 bytes each"""
    row_tag: str = "mailer-id"
    """the message tag whose value a row keeps: the sender's own id of the message"""


class Options(Listening, Granted, Trouble, Feedback, Memory):
    """The options of one simulator. Port 0 takes a free port; None leaves that listener out."""

    called: ClassVar[str] = "a simulator"

    @model_validator(mode="after")
    def _keeps_to_itself(self) -> Options:
        if not self.allow_remote and not is_loopback(self.host):
            raise ValueError(
                f"{self.host} is not a loopback address: anyone there could read the mail. "
                "Pass --allow-remote if that is meant"
            )
        return self


GROUPS: tuple[type[Spec], ...] = (Listening, Granted, Trouble, Feedback, Memory)
"""The groups of flags, in the order of the help. Each is named by its docstring."""
