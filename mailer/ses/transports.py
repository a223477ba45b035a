"""All transports, and the one that the settings choose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from mailer.errors import HostUnfit, SettingsError, Unreachable
from mailer.ses.access import USUAL, ClientConfig
from mailer.ses.boto import BotoTransport
from mailer.ses.curl.transport import CurlTransport
from mailer.ses.smtp import SmtpTransport

if TYPE_CHECKING:
    from mailer.ses.transport import Transport
    from mailer.settings import Settings, TransportKind

_KINDS: Mapping[TransportKind, Callable[[ClientConfig], Transport]] = {
    "ses": CurlTransport,
    "boto3": BotoTransport,
    "smtp": SmtpTransport,
}


def open_transport(kind: TransportKind, config: ClientConfig = USUAL) -> Transport:
    """A transport of this kind: ``ses`` (libcurl), ``boto3`` or ``smtp``. It opens nothing before its first send.

    Raises `SettingsError` if it cannot parse the SMTP URL.
    """
    return _KINDS[kind](config)


def configured(settings: Settings) -> Transport:
    """The transport of the settings. Raises `SettingsError`."""
    try:
        return open_transport(settings.transport, ClientConfig.of(settings))
    except SettingsError as error:
        raise SettingsError(f"MAILER_SMTP_URL: {error}") from None


def check_host(transport: Transport) -> None:
    """Prepare ``transport``. Raises `SettingsError` if this host could send nothing over it.

    Takes 0.1 s, or some seconds if credentials are looked up over the network. A failure of the network may pass, and
    is not an error here.
    """
    with suppress(Unreachable):
        try:
            transport.prepare()
        except HostUnfit as error:
            raise SettingsError(
                f"{error.detail.rstrip('.')}. Workers reach SES as AWS's tools do: set AWS_REGION, and AWS_PROFILE or "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY where the host has no role"
            ) from None
