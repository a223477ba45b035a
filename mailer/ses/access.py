"""How this host reaches SES: endpoint, Region, proxy and certificates, all decided by botocore.

Asking botocore keeps the standard AWS settings' meaning (``AWS_PROFILE``, ``AWS_ENDPOINT_URL_SESV2``,
``AWS_CA_BUNDLE``, instance roles, SSO, ``HTTPS_PROXY`` ...) for the transports that do not send through
botocore.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import botocore.auth
import botocore.exceptions
from botocore.config import Config
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies

from mailer.account import DEFAULT, Account
from mailer.errors import HostUnfit
from mailer.masking import mask_logins, without_login
from mailer.ses.clock import AWS
from mailer.ses.credentials import CredentialSource, open_session
from mailer.ses.errors import credentials_error

if TYPE_CHECKING:
    from mailer.settings import Settings

# botocore opens connections as they are needed and throws away what is above this: more than anybody sends at once.
_MOST_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Way:
    """The way to SES that is asked for, with the Region and the profile of ``account``. What is None comes from the AWS
    environment and profile.

    ``endpoint_url`` is API v2's, ``smtp_url`` SMTP's (see `mailer.ses.smtp`), ``ca_bundle`` a PEM file's path. The
    timeouts are seconds.
    """

    endpoint_url: str | None = field(default=None, repr=False)
    smtp_url: str | None = field(default=None, repr=False)
    ca_bundle: str | None = None
    connect_timeout: float = 3.0
    read_timeout: float = 30.0
    account: Account = field(default=DEFAULT, repr=False)

    @classmethod
    def of(cls, settings: Settings) -> Way:
        """The one that the settings ask for."""
        return cls(
            smtp_url=settings.smtp_url.get_secret_value() if settings.smtp_url else None,
            connect_timeout=settings.connect_timeout_seconds,
            read_timeout=settings.read_timeout_seconds,
            account=settings,
        )


USUAL = Way()
FOR_QUESTIONS = Way(read_timeout=10.0)
"""For calls that send nothing."""


@dataclass(frozen=True, slots=True)
class Access:
    """What botocore makes of a `Way`. ``proxy`` is a URL or None; ``ca_bundle`` a PEM file's path. Endpoint and proxy
    may hold a password."""

    endpoint_url: str = field(repr=False)
    region: str
    proxy: str | None = field(repr=False)
    ca_bundle: str

    @property
    def place(self) -> str:
        """Where it leads, for people: without logins."""
        through = f" through the proxy {self.proxy.rpartition('@')[2]}" if self.proxy else ""
        return f"{without_login(self.endpoint_url)}{through}"

    def without_logins(self, text: str) -> str:
        """What others say of the way there, as libcurl, which quotes a proxy whole that it cannot read."""
        for url in (self.proxy, self.endpoint_url):
            text = text.replace(url, without_login(url)) if url else text
        return mask_logins(text)


class _DatedByAws(botocore.auth.SigV4Auth):  # type: ignore[misc]
    """botocore's signer, which corrects no clock, with one that is."""

    def _modify_request_before_signing(self, request: Any) -> None:
        request.context["timestamp"] = datetime.fromtimestamp(AWS.now(), UTC).strftime(botocore.auth.SIGV4_TIMESTAMP)
        super()._modify_request_before_signing(request)


_SIGNATURE_VERSION = "mailer-v4"
# Where botocore looks up signers by name; this name is ours.
botocore.auth.AUTH_TYPE_MAPS[_SIGNATURE_VERSION] = _DatedByAws


def open_client(way: Way = FOR_QUESTIONS, session: Any = None) -> Any:
    """A new boto3 ``sesv2`` client that makes one HTTP attempt per call, whatever the environment says about
    retries.

    SES's send operations have no idempotency token, so an attempt that botocore repeats by itself may send
    twice. ``session`` is a `CredentialSource`'s, else the credentials are looked up now. Raises botocore's exceptions,
    OSError as `find_ca_bundle` does, and `HostUnfit` for a proxy or an endpoint that is no URL.
    """
    session = session or open_session(way.account)
    ca_bundle = find_ca_bundle(session, way)
    _check_url(way.endpoint_url or os.environ.get("AWS_ENDPOINT_URL_SESV2"), "AWS_ENDPOINT_URL_SESV2")
    config = Config(
        signature_version=_SIGNATURE_VERSION,
        # "max_attempts" would count retries; this counts attempts, and outranks AWS_MAX_ATTEMPTS.
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=way.connect_timeout,
        read_timeout=way.read_timeout,
        max_pool_connections=_MOST_KEPT,
        tcp_keepalive=True,
    )
    client = boto3.Session(botocore_session=session).client(
        "sesv2", endpoint_url=way.endpoint_url, verify=ca_bundle, config=config
    )
    try:
        find_proxy(client.meta.endpoint_url)
    except HostUnfit:
        client.close()
        raise
    return client


def find_access(way: Way = USUAL) -> Access:
    """What botocore would use for a call to SES API v2, but for the credentials. Takes about 0.1 s: keep the result.

    Raises `HostUnfit` where the Region or a file that is named are missing.
    """
    try:
        # Its credentials are never asked for.
        session = CredentialSource(way.account).session()
        with closing(open_client(way, session)) as client:
            url = str(client.meta.endpoint_url)
            return Access(
                endpoint_url=url,
                region=str(client.meta.region_name),
                proxy=find_proxy(url),
                ca_bundle=find_ca_bundle(session, way),
            )
    except Exception as error:
        raise credentials_error(error) from error


def answer_date(error: Exception) -> str | None:
    """The ``Date`` of the answer that a client's exception stands for, if it is one."""
    if not isinstance(error, botocore.exceptions.ClientError):
        return None
    headers: dict[str, str] = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return headers.get("date")


def find_proxy(url: str) -> str | None:
    """The URL of the proxy on the way to ``url``; None if it is reached directly. Raises `HostUnfit` if it is none."""
    scheme = urlsplit(url).scheme
    proxy: str | None = get_environ_proxies(url).get(scheme)
    _check_url(proxy, f"{scheme.upper()}_PROXY")
    return proxy


def _check_url(url: str | None, name: str) -> None:
    """Raise HostUnfit for what is no URL, quoting nothing of it: those who would use it quote half a password."""
    if not url:
        return
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    # With a / in the password, the rest of it and the host are taken for a path.
    if not parts.hostname or "@" in f"{parts.path}{parts.query}{parts.fragment}" or any(map(str.isspace, url)):
        raise HostUnfit(
            "UnreadableUrl",
            f"{name} is no URL with a host and, perhaps, a port. If its password has one of / ? # @ : or a space in "
            "it, percent-encode that: %2F %3F %23 %40 %3A %20",
        )


def find_ca_bundle(session: Any, way: Way = USUAL) -> str:
    """The file that servers are verified with: the way's, else the profile's, ``AWS_CA_BUNDLE``'s,
    ``REQUESTS_CA_BUNDLE``'s, or botocore's own.

    Raises OSError if it cannot be read: no connection would come about, as if SES were away.
    """
    # botocore reads the last one from the environment by itself, outside its configuration.
    named = way.ca_bundle or session.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE")
    path = Path(get_cert_path(named or True))
    path.open("rb").close()
    return str(path)
