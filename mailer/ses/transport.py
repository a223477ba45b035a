"""The seam that every way to SES has in common, and the factory that opens one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, Self

from mailer.errors import HostUnfit, SettingsError, Unreachable
from mailer.ses.access import USUAL, Way
from mailer.ses.boto import BotoTransport
from mailer.ses.curl import CurlTransport
from mailer.ses.smtp import SmtpTransport

if TYPE_CHECKING:
    from types import TracebackType

    from mailer.message import Message
    from mailer.ses.credentials import CredentialSource
    from mailer.settings import Settings, TransportKind


class Transport(Protocol):
    """A way to hand one message at a time to SES.

    A transport may be shared by any number of threads; each concurrent send uses a connection of its own,
    kept open for the next. It is cheap until its first send, and safe to carry over a fork: what was opened
    before is not used after. No transport ever sends a message twice by itself.
    """

    @property
    def credentials(self) -> CredentialSource:
        """This host's, as far as the transport signs with them."""
        ...

    def send(self, message: Message) -> str:
        """Send it once and return SES's MessageId.

        Raises a `SendError`: `OutcomeUnknown` says that the message may have been accepted, all others that it surely
        was not.
        """
        ...

    def prepare(self, connections: int = 0) -> None:
        """Do now what the first send would do first, and open so many connections where that helps.

        Raises `HostUnfit` where this host lacks what every send needs, and `Unreachable` for what may pass.
        """
        ...

    def close(self) -> None:
        """Close idle connections. A later send opens new ones."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


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


def configured(settings: Settings) -> Transport:
    """The transport of the settings. Raises `SettingsError`."""
    try:
        return open_transport(settings.transport, Way.of(settings))
    except SettingsError as error:
        raise SettingsError(f"MAILER_SMTP_URL: {error}") from None


def check_host(transport: Transport) -> None:
    """Prepare ``transport``, and raise `SettingsError` where this host could send nothing over it.

    Takes 0.1 s, and some seconds where credentials are looked for in the network. What fails there may pass, and is no
    error.
    """
    with suppress(Unreachable):
        try:
            transport.prepare()
        except HostUnfit as error:
            raise SettingsError(
                f"{error.detail.rstrip('.')}. Workers reach SES as AWS's tools do: set AWS_REGION, and AWS_PROFILE or "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY where the host has no role"
            ) from None
