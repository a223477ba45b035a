"""The seam that every way to SES has in common, and the factory that opens one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, Self

from mailer.errors import HostUnfit, SettingsError, Unavailable
from mailer.ses.access import USUAL, Way, find_access
from mailer.ses.boto import BotoTransport
from mailer.ses.curl import CurlTransport
from mailer.ses.smtp import SmtpTransport
from mailer.ses.smtp_connection import parse_url

if TYPE_CHECKING:
    from types import TracebackType

    from mailer.message import Message
    from mailer.settings import Settings, TransportKind


class Transport(Protocol):
    """A way to hand one message at a time to SES.

    A transport may be shared by any number of threads; each concurrent send uses a connection of its own,
    kept open for the next. It is cheap until its first send, and safe to carry over a fork: what was opened
    before is not used after. No transport ever sends a message twice by itself.
    """

    def send(self, message: Message) -> str:
        """Send it once and return SES's MessageId.

        Raises a `SendError`: `RateExceeded`, `QuotaExceeded`, `AccountStopped`, `HostUnfit`, `Misdated`, `Unavailable`
        and `Rejected` say that the message was surely not accepted, `OutcomeUnknown` that it may have been.
        """
        ...

    def prepare(self, connections: int = 0) -> None:
        """Do now what the first send would do first, and open so many connections where that helps.

        Raises `AccountStopped`, `HostUnfit` or `Unavailable`.
        """
        ...

    def close(self) -> None:
        """Close idle connections. A later send opens new ones."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def check_host(settings: Settings) -> None:
    """Raise SettingsError where this host could send nothing: it has no Region or no credentials, or what `check` says.

    Takes 0.1 s, and some seconds where credentials are looked for in the network. What fails there may pass, and is no
    error.
    """
    check(settings)
    if settings.transport == "smtp" and settings.smtp_url is not None:
        server = parse_url(settings.smtp_url.get_secret_value())
        if server.user or server.scheme == "smtp+plain":
            return
    with suppress(Unavailable):
        try:
            find_access()
        except HostUnfit as error:
            raise SettingsError(
                f"{error.detail.rstrip('.')}. Workers reach SES as AWS's tools do: set AWS_REGION, and AWS_PROFILE or "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY where the host has no role"
            ) from None


def check(settings: Settings) -> None:
    """Raise SettingsError for what no transport opens with: before a worker takes messages, not with each of them."""
    if settings.transport == "smtp" and settings.smtp_url is not None:
        try:
            parse_url(settings.smtp_url.get_secret_value())
        except SettingsError as error:
            raise SettingsError(f"MAILER_SMTP_URL: {error}") from None


def open_transport(kind: TransportKind, way: Way = USUAL) -> Transport:
    """A transport of this kind: ``ses`` (libcurl), ``boto3`` or ``smtp``. Opens nothing before its first send.

    Raises `SettingsError` for an SMTP URL it cannot read.
    """
    return _KINDS[kind](way)


_KINDS: Mapping[TransportKind, Callable[[Way], Transport]] = {
    "ses": CurlTransport,
    "boto3": BotoTransport,
    "smtp": SmtpTransport,
}
