"""SMTP credentials as SES derives them. The user is the access key id. The password depends on secret and Region."""

from __future__ import annotations

import base64
import hmac
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_VERSION = b"\x04"
# The Regions with an SES SMTP endpoint that a test is likely to use. Any other works as the simulator's default Region.
REGIONS = [
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "af-south-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ca-central-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-south-1",
    "sa-east-1",
]


def smtp_password(secret: str, region: str) -> str:
    """AWS's published derivation. Returns 44 characters that start with ``B``."""
    key = ("AWS4" + secret).encode()
    for part in ("11111111", region, "ses", "aws4_request", "SendRawEmail"):
        key = hmac.digest(key, part.encode(), "sha256")
    return base64.b64encode(_VERSION + key).decode()


class SmtpLogins:
    """Finds the Region that a user and password open. It uses the secrets as they are at the time of the call."""

    def __init__(self, secrets: Mapping[str, str], default_region: str) -> None:
        self._secrets = secrets
        self._default_region = default_region

    def region(self, user: str, password: str) -> str | None:
        """The Region, or None for a wrong login. Without any secrets, every login opens the default Region."""
        if not self._secrets:
            return self._default_region if user and password else None
        secret = self._secrets.get(user)
        return None if secret is None else _regions(secret, self._default_region).get(password)


@lru_cache(maxsize=100)
def _regions(secret: str, default_region: str) -> dict[str, str]:
    """Maps each password to its Region."""
    return {smtp_password(secret, region): region for region in (default_region, *REGIONS)}
