"""The connections that carry mail and passwords: whether others can read them, or answer in the server's place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

from mailer.doctor.finding import Finding, note, ok, problem
from mailer.guard import is_loopback
from mailer.masking import without_login
from mailer.queue.connection import redis_url
from mailer.settings import Settings

_AWS_KEY = re.compile(r"(?:AKIA|ASIA)[A-Z0-9]{12,124}")
"""The id of an access key issued by AWS, long-term or temporary. A simulator accepts any word."""


def redis(settings: Settings) -> Iterator[Finding]:
    """The connection to Redis, judged by its URL. No finding if it is good. Raises SettingsError."""
    parts = [urlsplit(part) for part in redis_url(settings).split(";")]
    away = [part.hostname for part in parts if part.hostname and not is_loopback(part.hostname)]
    if parts[0].scheme == "rediss":
        yield from _tls(parse_qs(parts[0].query))
    elif away and any(part.password for part in parts):
        yield problem(
            "Redis URL",
            f"the password and all mail go to {', '.join(away)} in the clear: who is on the way reads both",
            "Let the server speak TLS and write rediss://, or reach it through a tunnel that ends on this host",
        )
    elif away:
        yield note(
            "Redis URL",
            f"all mail goes to {', '.join(away)} in the clear, and whoever reaches that server reads and sends mail",
            "Give the server a password and TLS, and write rediss://user:password@host",
        )


def _tls(query: dict[str, list[str]]) -> Iterator[Finding]:
    options = {name: values[-1].lower() for name, values in query.items()}
    if options.get("ssl_cert_reqs", "required").removeprefix("cert_") == "none":
        yield problem(
            "Redis URL",
            "ssl_cert_reqs=none: no certificate is checked, so anybody on the way can answer in the server's place",
            "Leave it out, and name the certificate of whoever signs the server's: ?ssl_ca_certs=/path/ca.pem",
        )
    elif options.get("ssl_check_hostname") == "false":
        yield note(
            "Redis URL",
            "ssl_check_hostname=false: any server with a certificate of the same authority can answer in its place",
            "Leave it out, and give the server a certificate with its name",
        )


def ses(endpoint_url: str, access_key: str, text: str) -> Finding:
    """The connection to SES. ``text`` describes the connection that was made."""
    host = urlsplit(endpoint_url).hostname or ""
    if endpoint_url.startswith("https://"):
        return ok("endpoint", f"{text}, certificate checked")
    if is_loopback(host):
        return ok("endpoint", f"{text}, without TLS on this host")
    if _AWS_KEY.fullmatch(access_key):
        return problem(
            "endpoint",
            f"{text}, without TLS: all mail goes to {host} in the clear, signed with a key of AWS",
            f"Use https, or unset AWS_ENDPOINT_URL_SESV2={without_login(endpoint_url)}; give a simulator no AWS key",
        )
    return note("endpoint", f"{text}, without TLS", "Use https, unless this is a simulator")
