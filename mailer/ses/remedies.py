"""Remedies for a host that cannot send, by the code of its failure."""

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

_BY_CODE: dict[str, str] = {
    **dict.fromkeys(
        ("AuthFailure", "InvalidAccessKeyId", "InvalidClientTokenId", "NotSignedUp", "UnrecognizedClientException"),
        _KEY,
    ),
    **dict.fromkeys(
        (
            *("InvalidSignature", "InvalidSignatureException", "SignatureDoesNotMatch"),
            *("SignatureDoesNotMatchException", "534", "535", "538"),
        ),
        _PAIR,
    ),
    **dict.fromkeys(
        (
            *("ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"),
            *("UnauthorizedSSOTokenError", "SSOTokenLoadError", "TokenRetrievalError", "CredentialRetrievalError"),
        ),
        _EXPIRY,
    ),
    **dict.fromkeys(
        (
            *("MissingAuthenticationToken", "MissingAuthenticationTokenException", "NoCredentialsError", "530"),
            *("PartialCredentialsError", "ProfileNotFound", "NoRegionError", "TemporaryCredentials"),
        ),
        _NONE,
    ),
    **dict.fromkeys(("AccessDenied", "AccessDeniedException", "NotAuthorized", "554"), _RIGHTS),
    **dict.fromkeys(("RequestExpired", "RequestTimeTooSkewed"), _CLOCK),
    **dict.fromkeys(("AuthorizationHeaderMalformed", "UnknownOperationException"), _PROXY),
    "ClientError": _GIVER,
    "QueueUnavailable": _REDIS,
    "UnreadableUrl": _URL,
}


def remedy(why: str) -> str:
    """The remedy for a host that reports ``why``: a code, or ``code: words``."""
    code, _, words = why.partition(": ")
    if words.startswith(("Signature expired", "Signature not yet current")):
        return _CLOCK
    return _BY_CODE.get(code) or (_PROXY if code.startswith("HTTP ") else _ROUTE)
