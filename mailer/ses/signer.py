"""AWS Signature Version 4 for one endpoint of SES. It keeps the parts that do not change between requests.

botocore signs any request of any service, and that takes most of a send's processor time. A send to SES always has the
same method, path and host: three SHA-256 runs and one HMAC remain. The tests compare every byte with botocore.
"""

from __future__ import annotations

import hmac
import time
from hashlib import sha256
from typing import NamedTuple, Protocol
from urllib.parse import quote, urlsplit


class Credentials(Protocol):
    """The credentials that a signer needs. botocore's ``ReadOnlyCredentials`` has them."""

    @property
    def access_key(self) -> str: ...
    @property
    def secret_key(self) -> str: ...
    @property
    def token(self) -> str | None: ...


class _Second(NamedTuple):
    """The parts shared by all requests of one second with the same credentials."""

    epoch: int
    identity: tuple[str, str, str | None]
    key: bytes
    canonical: bytes
    """The canonical request up to the payload's hash."""
    to_sign: bytes
    """The string to sign up to the canonical request's hash."""
    lines: bytes
    """The signed header lines up to the signature."""


def derive_key(secret_key: str, *scope: str) -> bytes:
    """SigV4's key for a scope: a date, a Region, a service, and what follows."""
    key = b"AWS4" + secret_key.encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return key


class Signer:
    """Signs POSTs of JSON to one URL. Safe to share between threads.

    ``url`` must have no query. ``host`` and ``path`` are the values to write into the request.
    """

    def __init__(self, url: str, *, region: str) -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or ""
        if ":" in self.host:
            self.host = f"[{self.host}]"
        if parts.port is not None and parts.port != {"http": 80, "https": 443}.get(parts.scheme):
            self.host = f"{self.host}:{parts.port}"
        self.path = quote(parts.path or "/", safe="/~%")
        # SigV4 signs percent-encoded characters encoded twice, for every service but S3.
        self._signed_path = quote(parts.path or "/", safe="/~")
        self._region = region
        # Threads may race to replace it. Each value is complete, and each is right.
        self._second: _Second | None = None

    def sign(self, body: bytes, credentials: Credentials, now: float) -> bytes:
        """The signed header lines of the request, each with its CRLF. The client adds ``Host``, which is signed as
        well.

        ``now`` is Unix time in seconds. AWS refuses a signature more than five minutes from its own clock.
        """
        epoch = int(now)
        identity = (credentials.access_key, credentials.secret_key, credentials.token)
        second = self._second
        if second is None or second.epoch != epoch or second.identity != identity:
            second = self._second = self._prepare(epoch, identity)
        canonical = second.canonical + sha256(body).hexdigest().encode()
        to_sign = second.to_sign + sha256(canonical).hexdigest().encode()
        signature = hmac.digest(second.key, to_sign, "sha256").hex()
        return second.lines + signature.encode() + b"\r\n"

    def _prepare(self, epoch: int, identity: tuple[str, str, str | None]) -> _Second:
        access_key, secret_key, token = identity
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(epoch))
        scope = (stamp[:8], self._region, "ses", "aws4_request")
        signed = {"Content-Type": "application/json", "Host": self.host, "X-Amz-Date": stamp}
        if token:
            signed["X-Amz-Security-Token"] = token
        names = ";".join(signed).lower()
        canonical = "".join(f"{name.lower()}:{value}\n" for name, value in signed.items())
        lines = "".join(f"{name}: {value}\r\n" for name, value in signed.items() if name != "Host")
        lines += f"Authorization: AWS4-HMAC-SHA256 Credential={'/'.join((access_key, *scope))}, "
        lines += f"SignedHeaders={names}, Signature="
        return _Second(
            epoch=epoch,
            identity=identity,
            key=derive_key(secret_key, *scope),
            canonical=f"POST\n{self._signed_path}\n\n{canonical}\n{names}\n".encode(),
            to_sign=f"AWS4-HMAC-SHA256\n{stamp}\n{'/'.join(scope)}\n".encode(),
            lines=lines.encode(),
        )
