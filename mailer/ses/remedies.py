"""Failures of a host that cannot send: AWS's codes for them, and the remedy for each."""

from __future__ import annotations

_KEY = "Give the host an AWS key that is there and active: this one was deleted or switched off, or was never SES's"
_PAIR = "Correct the secret of the host's AWS key (of MAILER_SMTP_URL, with SMTP): the two do not belong together"
_EXPIRY = "Renew the host's credentials: its token has expired (`aws sso login`, its role, or whatever gives it one)"
_NONE = "Give the host credentials and a Region: AWS_REGION, and AWS_PROFILE, a key or a role"
_RIGHTS = "Allow the host's key or role ses:SendEmail, for the senders it sends from"
_ROUTE = "Open the host's way to SES: its DNS, firewall, VPC endpoint, proxy, certificates (AWS_CA_BUNDLE)"
_PROXY = "Look at what stands between the host and SES: a proxy or a wrong AWS_ENDPOINT_URL_SESV2 answers in its place"
_CLOCK = "Set the host's clock (NTP); if it is right, SES's answers disagree, and it passes"
_GIVER = "Look at what gives the host its credentials: it refuses"
_URL = "Correct the URL of the host's proxy or SES endpoint (HTTPS_PROXY, AWS_ENDPOINT_URL_SESV2)"
_REDIS = "Look at the host's connection to Redis: it cannot read what its messages have in common"

REFUSED = {
    "AuthFailure": _KEY,
    "AuthorizationHeaderMalformed": _PROXY,
    "ExpiredToken": _EXPIRY,
    "IncompleteSignature": _PROXY,
    "InvalidAccessKeyId": _KEY,
    "InvalidClientTokenId": _KEY,
    "InvalidSignature": _PAIR,
    "InvalidToken": _EXPIRY,
    "MissingAuthenticationToken": _NONE,
    "SignatureDoesNotMatch": _PAIR,
    "TokenRefreshRequired": _EXPIRY,
    "UnknownOperation": _PROXY,
    "UnrecognizedClient": _KEY,
}
"""AWS refuses this host's credentials, signature or endpoint before SES looks at the message. The codes are without
``Exception`` at their end.
"""

# Codes that may have another cause as well, replies of SMTP, and names of local failures.
_OTHERS = {
    "530": _NONE,
    "534": _PAIR,
    "535": _PAIR,
    "538": _PAIR,
    "554": _RIGHTS,
    "AccessDenied": _RIGHTS,
    "ClientError": _GIVER,
    "CredentialRetrievalError": _EXPIRY,
    "NoCredentialsError": _NONE,
    "NoRegionError": _NONE,
    "NotAuthorized": _RIGHTS,
    "NotSignedUp": _KEY,
    "PartialCredentialsError": _NONE,
    "ProfileNotFound": _NONE,
    "QueueUnavailable": _REDIS,
    "SSOTokenLoadError": _EXPIRY,
    "TemporaryCredentials": _NONE,
    "TokenRetrievalError": _EXPIRY,
    "UnauthorizedSSOTokenError": _EXPIRY,
    "UnreadableUrl": _URL,
}


def is_misdated(code: str, words: str) -> bool:
    """Whether AWS refused a request because this host's clock is wrong. AWS checks that before SES: nothing was
    accepted. ``code`` is without ``Exception`` at its end.
    """
    return code in {"RequestExpired", "RequestTimeTooSkewed"} or (
        code in {"SignatureDoesNotMatch", "InvalidSignature"}
        and words.startswith(("Signature expired", "Signature not yet current"))
    )


def remedy(why: str) -> str:
    """The remedy for a host that reports ``why``: a code, or ``code: words``."""
    code, _, words = why.partition(": ")
    code = code.removesuffix("Exception")
    if is_misdated(code, words):
        return _CLOCK
    return REFUSED.get(code) or _OTHERS.get(code) or (_PROXY if code.startswith("HTTP ") else _ROUTE)
