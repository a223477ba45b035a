"""The transports there are, and the one of the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from mailer.errors import HostUnfit, SettingsError, Unreachable
from mailer.ses.access import USUAL, Way
from mailer.ses.boto import BotoTransport
from mailer.ses.curl.transport import CurlTransport
from mailer.ses.smtp import SmtpTransport

if TYPE_CHECKING:
    from mailer.ses.transport import Transport
    from mailer.settings import Settings, TransportKind

_KINDS: Mapping[TransportKind, Callable[[Way], Transport]] = {
    "ses": CurlTransport,
    "boto3": BotoTransport,
    "smtp": SmtpTransport,
}


def open_transport(kind: TransportKind, way: Way = USUAL) -> Transport:
    """A transport of this kind: ``ses`` (libcurl), ``boto3`` or ``smtp``. Opens nothing before its first send.

    Raises `SettingsError` for an SMTP URL it cannot read.
    """
    return _KINDS[kind](way)


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
