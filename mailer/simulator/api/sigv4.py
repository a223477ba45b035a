"""Verifies AWS Signature Version 4, written from AWS's description."""

from __future__ import annotations

import hashlib
import hmac
import time
from calendar import timegm
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from mailer.simulator import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mailer.simulator.exchange import Request

_SERVICE = "ses"


@dataclass(frozen=True, slots=True)
class Authorization:
    """The Authorization header of a signed request."""

    access_key: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str

    @classmethod
    def parse(cls, header: bytes) -> Authorization | None:
        """Parse the header. None unless it is AWS4-HMAC-SHA256 with all its parts."""
        algorithm, _, rest = header.decode("latin-1").partition(" ")
        if algorithm != "AWS4-HMAC-SHA256":
            return None
        parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
        scope = parts.get("Credential", "").split("/")
        if len(scope) != 5 or not parts.get("SignedHeaders") or not parts.get("Signature"):
            return None
        return cls(
            access_key=scope[0],
            date=scope[1],
            region=scope[2],
            service=scope[3],
            signed_headers=tuple(parts["SignedHeaders"].split(";")),
            signature=parts["Signature"],
        )


def scope_region(header: bytes) -> str | None:
    """The Region in a SigV4 Authorization header, without a check. Cheap enough for every request."""
    start = header.find(b"Credential=")
    scope = header[start : header.find(b",", start)].split(b"/", 4) if start >= 0 else ()
    return scope[2].decode("latin-1") if len(scope) == 5 and scope[2] else None


class Signatures:
    """Checks signatures against ``secrets`` (access key id to secret) as they are at the time of the request, and their
    dates against ``now``. Without secrets, every request passes, signed or not."""

    def __init__(self, secrets: Mapping[str, str], now: Callable[[], float] = time.time) -> None:
        self._secrets = secrets
        self._now = now
        self._day_keys: dict[tuple[str, str, str], bytes] = {}

    def check(self, request: Request) -> None:
        """Raise ``Refused`` unless the request is signed with a known secret within five minutes of now.

        Uses real time, not the account's clock: a client whose mail waits for tomorrow's quota still signs today.
        """
        if not self._secrets:
            return
        header = request.headers.get(b"authorization")
        stamp = request.headers.get(b"x-amz-date", b"").decode("latin-1")
        authorization = None if header is None else Authorization.parse(header)
        if authorization is None or not stamp:
            raise errors.Refused(errors.MISSING_TOKEN)
        secret = self._secrets.get(authorization.access_key)
        if secret is None:
            raise errors.Refused(errors.UNKNOWN_KEY)
        if authorization.service != _SERVICE:
            text = f"Credential should be scoped to correct service: '{_SERVICE}'. "
            raise errors.Refused(errors.BAD_SIGNATURE.saying(text))
        _check_age(stamp, self._now())
        string_to_sign = "\n".join(
            (
                "AWS4-HMAC-SHA256",
                stamp,
                f"{authorization.date}/{authorization.region}/{_SERVICE}/aws4_request",
                hashlib.sha256(_canonical(request, authorization.signed_headers)).hexdigest(),
            )
        )
        expected = hmac.new(self._day_key(secret, authorization), string_to_sign.encode(), "sha256").hexdigest()
        if not hmac.compare_digest(expected.encode(), authorization.signature.encode()):
            raise errors.Refused(errors.BAD_SIGNATURE)

    def _day_key(self, secret: str, authorization: Authorization) -> bytes:
        name = (secret, authorization.date, authorization.region)
        key = self._day_keys.get(name)
        if key is None:
            if len(self._day_keys) >= 1000:
                self._day_keys.clear()
            key = ("AWS4" + secret).encode()
            for part in (authorization.date, authorization.region, _SERVICE, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._day_keys[name] = key
        return key


def _check_age(stamp: str, now: float) -> None:
    try:
        signed_at = timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise errors.Refused(errors.BAD_SIGNATURE) from None
    if abs(now - signed_at) > errors.SKEW_SECONDS:
        raise errors.Refused(errors.skewed(signed_at, now))


def _canonical(request: Request, signed_headers: tuple[str, ...]) -> bytes:
    query = sorted(part if "=" in part else part + "=" for part in request.query.decode("latin-1").split("&") if part)
    headers = [
        f"{name}:{' '.join(request.headers.get(name.encode(), b'').decode('latin-1').split())}"
        for name in signed_headers
    ]
    return "\n".join(
        (
            request.method,
            # Every service but S3 signs a path that is encoded once more than the path sent.
            quote(request.path, safe="/-_.~"),
            "&".join(query),
            *headers,
            "",
            ";".join(signed_headers),
            hashlib.sha256(request.body).hexdigest(),
        )
    ).encode()
