"""How this host reaches SES: endpoint, Region, proxy and certificates, all decided by botocore.

The transports that do not send through botocore ask it too. So the standard AWS settings keep their meaning for them:
``AWS_PROFILE``, ``AWS_ENDPOINT_URL_SESV2``, ``AWS_CA_BUNDLE``, instance roles, SSO, ``HTTPS_PROXY`` and so on.
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
from mailer.ses.errors import boto_error, credentials_error, raised_as

if TYPE_CHECKING:
    from mailer.errors import SendError
    from mailer.settings import Settings

# botocore opens connections as needed and closes the idle ones above this number. Nobody has this many sends in flight.
_MOST_KEPT = 1000


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """The requested settings of a client of SES, with the Region and profile of ``account``. The AWS environment and
    profile give every value that is None.

    ``endpoint_url`` is the endpoint of API v2, ``smtp_url`` that of SMTP (see `mailer.ses.smtp`), ``ca_bundle`` the
    path of a PEM file. The timeouts are in seconds.
    """

    endpoint_url: str | None = field(default=None, repr=False)
    smtp_url: str | None = field(default=None, repr=False)
    ca_bundle: str | None = None
    connect_timeout: float = 3.0
    read_timeout: float = 30.0
    account: Account = field(default=DEFAULT, repr=False)

    @classmethod
    def of(cls, settings: Settings) -> ClientConfig:
        return cls(
            smtp_url=settings.smtp_url.get_secret_value() if settings.smtp_url else None,
            connect_timeout=settings.connect_timeout_seconds,
            read_timeout=settings.read_timeout_seconds,
            account=settings,
        )


USUAL = ClientConfig()
FOR_QUESTIONS = ClientConfig(read_timeout=10.0)
"""For calls that send nothing."""


@dataclass(frozen=True, slots=True)
class Access:
    """A `ClientConfig` as botocore resolves it. ``proxy`` is a URL or None, ``ca_bundle`` the path of a PEM file.
    Endpoint and proxy may contain a password.
    """

    endpoint_url: str = field(repr=False)
    region: str
    proxy: str | None = field(repr=False)
    ca_bundle: str

    @property
    def place(self) -> str:
        """Endpoint and proxy, without logins, for display."""
        through = f" through the proxy {self.proxy.rpartition('@')[2]}" if self.proxy else ""
        return f"{without_login(self.endpoint_url)}{through}"

    def without_logins(self, text: str) -> str:
        """``text`` without the logins of proxy and endpoint. libcurl, for one, quotes a proxy URL whole if it cannot
        parse it.
        """
        for url in (self.proxy, self.endpoint_url):
            text = text.replace(url, without_login(url)) if url else text
        return mask_logins(text)


class _DatedByAws(botocore.auth.SigV4Auth):  # type: ignore[misc]
    """botocore's SigV4 signer, dated by AWS's clock. botocore itself does not correct for a wrong host clock."""

    def _modify_request_before_signing(self, request: Any) -> None:
        request.context["timestamp"] = datetime.fromtimestamp(AWS.now(), UTC).strftime(botocore.auth.SIGV4_TIMESTAMP)
        super()._modify_request_before_signing(request)


_SIGNATURE_VERSION = "mailer-v4"
# botocore looks up signers in this table by name. The name is ours.
botocore.auth.AUTH_TYPE_MAPS[_SIGNATURE_VERSION] = _DatedByAws


def open_client(config: ClientConfig = FOR_QUESTIONS, session: Any = None) -> Any:
    """A new boto3 ``sesv2`` client. It makes one HTTP attempt per call, whatever the environment says about retries.

    SES's send operations have no idempotency token: if botocore repeats an attempt by itself, it may send twice.
    ``session`` comes from a `CredentialSource`. Without one, the credentials are looked up now. Raises botocore's
    exceptions, OSError (see `find_ca_bundle`), and `HostUnfit` if the URL of the proxy or the endpoint is malformed.
    """
    session = session or open_session(config.account)
    ca_bundle = find_ca_bundle(session, config)
    _check_url(config.endpoint_url or os.environ.get("AWS_ENDPOINT_URL_SESV2"), "AWS_ENDPOINT_URL_SESV2")
    client = boto3.Session(botocore_session=session).client(
        "sesv2",
        endpoint_url=config.endpoint_url,
        verify=ca_bundle,
        config=Config(
            signature_version=_SIGNATURE_VERSION,
            # "max_attempts" counts retries. "total_max_attempts" counts attempts and overrides AWS_MAX_ATTEMPTS.
            retries={"mode": "standard", "total_max_attempts": 1},
            connect_timeout=config.connect_timeout,
            read_timeout=config.read_timeout,
            max_pool_connections=_MOST_KEPT,
            tcp_keepalive=True,
        ),
    )
    find_proxy(client.meta.endpoint_url)  # a malformed one would make each call fail, as if SES were down
    return client


def find_access(config: ClientConfig = USUAL) -> Access:
    """The settings that botocore would use for a call to SES API v2, without credentials. Takes about 0.1 s: keep the
    result.

    Raises `HostUnfit` if there is no Region, or if a configured file does not exist.
    """
    with raised_as(credentials_error):
        # Nothing asks this source for credentials.
        session = CredentialSource(config.account).session()
        with closing(open_client(config, session)) as client:
            url = str(client.meta.endpoint_url)
            return Access(
                endpoint_url=url,
                region=str(client.meta.region_name),
                proxy=find_proxy(url),
                ca_bundle=find_ca_bundle(session, config),
            )


def refusal(error: Exception, operation: str) -> SendError:
    """The `SendError` for an exception of a client's call of ``operation``. AWS's clock learns from it first."""
    response = error.response if isinstance(error, botocore.exceptions.ClientError) else {}
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return AWS.learn(boto_error(error, operation), headers.get("date"))


def find_proxy(url: str) -> str | None:
    """The URL of the proxy on the way to ``url``, or None for a direct connection. Raises `HostUnfit` if it is
    malformed.
    """
    scheme = urlsplit(url).scheme
    proxy: str | None = get_environ_proxies(url).get(scheme)
    _check_url(proxy, f"{scheme.upper()}_PROXY")
    return proxy


def _check_url(url: str | None, name: str) -> None:
    """Raise HostUnfit if ``url`` is malformed. The error quotes nothing of it: libraries that parse such a URL quote
    half a password.
    """
    if not url:
        return
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    # If the password contains a /, urlsplit takes the rest of it and the host for a path.
    if not parts.hostname or "@" in f"{parts.path}{parts.query}{parts.fragment}" or any(map(str.isspace, url)):
        raise HostUnfit(
            "UnreadableUrl",
            f"{name} is no URL with a host and, perhaps, a port. If its password has one of / ? # @ : or a space in "
            "it, percent-encode that: %2F %3F %23 %40 %3A %20",
        )


def find_ca_bundle(session: Any, config: ClientConfig = USUAL) -> str:
    """The path of the CA file that verifies servers. Sources, in order: ``config``, the profile, ``AWS_CA_BUNDLE``,
    ``REQUESTS_CA_BUNDLE``, botocore's own file.

    Raises OSError if the file cannot be read. Without this check every connection would fail, as if SES were down.
    """
    # botocore reads REQUESTS_CA_BUNDLE from the environment, outside its configuration.
    named = config.ca_bundle or session.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE")
    path = Path(get_cert_path(named or True))
    path.open("rb").close()
    return str(path)
