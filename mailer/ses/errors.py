"""The one seam where what SES says, in any of its dialects, becomes a `SendError`: an error named by what to
do next.

SES speaks three: codes of API v2 (``TooManyRequestsException``), codes of API v1 (``Throttling``) and SMTP
replies (``454 Throttling failure: ...``). The same text means the same thing in all of them. Around SES are
the failures that never reached it, or whose answer never came back: botocore's exceptions and libcurl's
codes.

Two questions decide everything. *Was it accepted for sure not?* A parsed 4xx, or a failure before the last
byte of the request was handed over, says so; anything else is `OutcomeUnknown`. *Whose fault is it?* The account's
(`RateExceeded`, `QuotaExceeded`, `AccountStopped`), this host's (`HostUnfit`, `Unreachable`, `Misdated`), one of the
two sides of a permission (`Denied`), SES's for a moment (`Unavailable`), or the message's (`Rejected`).

SES's own words stay in ``detail``. They may quote addresses: mask them where they are logged.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import botocore.exceptions as aws

from mailer.errors import (
    AccountStopped,
    Denied,
    HostUnfit,
    Misdated,
    OutcomeUnknown,
    QuotaExceeded,
    RateExceeded,
    Rejected,
    SendError,
    Unavailable,
    Unreachable,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

# AWS's documents and SDKs name the throttle in all these ways; only the text tells the rate from the quota.
_THROTTLES = frozenset(
    {
        "LimitExceeded",
        "LimitExceededException",
        "RequestLimitExceeded",
        "Throttled",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)

# Every host of the account would meet the same answer until somebody changes something in SES.
_STOPS = frozenset(
    {
        "AccountSendingPausedException",
        "AccountSuspendedException",
        "ConfigurationSetSendingPausedException",
        "MailFromDomainNotVerified",
        "MailFromDomainNotVerifiedException",
        "OptInRequired",
        "ProductionAccessNotGrantedException",
        "SendingPausedException",
        "SubscriptionRequiredException",
    }
)

# AWS refuses the credentials, the signature or the endpoint of this host, before SES looks at the message.
_OF_THE_HOST = frozenset(
    {
        "AuthFailure",
        "AuthorizationHeaderMalformed",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignature",
        "InvalidSignatureException",
        "InvalidToken",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "SignatureDoesNotMatch",
        "SignatureDoesNotMatchException",
        "TokenRefreshRequired",
        "UnknownOperationException",
        "UnrecognizedClientException",
    }
)

# Codes that need no further words to say that a signature's date is too far from AWS's clock.
_MISDATED = frozenset({"RequestExpired", "RequestTimeTooSkewed"})

# 5xx answers that say the request was not taken up. Every other 5xx may have come after SES took the message.
_NOT_TAKEN_UP = frozenset({"ServiceUnavailable", "ServiceUnavailableException"})


def api_error(status: int, code: str, detail: str) -> SendError:
    """The error for an HTTP answer of SES that is not a success.

    ``code`` is the error's name as SES gave it, or empty where the answer is not SES's (a proxy's page, say).
    """
    named = code or f"HTTP {status}"
    if code in _THROTTLES or status == 429:
        return _throttle(named, detail)
    if status >= 500:
        if code in _NOT_TAKEN_UP:
            return Unavailable(named, detail)
        if not code and status == 503:
            return _not_sess(named, detail)
        return OutcomeUnknown(named, detail)
    if status < 300:
        return OutcomeUnknown(named, detail or "SES answered without a MessageId")
    if not code and status not in {401, 403}:
        if status == 413:
            return Rejected(named, detail or "too large for SES or for a proxy before it")
        return _not_sess(named, detail)
    return _refusal(status, code, named, detail)


def _refusal(status: int, code: str, named: str, detail: str) -> SendError:
    if is_about_the_date(code, detail):
        return Misdated(named, detail)
    if code in _OF_THE_HOST:
        return HostUnfit(named, detail)
    if code in _STOPS or _says_paused(detail):
        return AccountStopped(named, detail)
    if status in {401, 403}:
        # AccessDenied and its like. Where it is a proxy's page, that too may be about this message or about all.
        return Denied(named, detail)
    return Rejected(named, detail)


def _not_sess(named: str, detail: str) -> Unreachable:
    """The error for an answer in SES's place: a proxy that wants a login, a page, a balancer with nobody behind it."""
    return Unreachable(named, detail or "this is not SES's answer: check the endpoint and the proxy")


def is_about_the_date(code: str, text: str) -> bool:
    """Whether AWS refused a request because this host's clock is off. That is before SES: nothing was taken."""
    return code in _MISDATED or (
        code in {"SignatureDoesNotMatch", "InvalidSignatureException"}
        and text.startswith(("Signature expired", "Signature not yet current"))
    )


def http_error(status: int, headers: Mapping[str, str], body: bytes) -> SendError:
    """The error for a raw answer of API v2. Header names are lower case.

    Where the code stands: header ``x-amzn-ErrorType`` (before ``:``, after ``#``), else body ``code`` or
    ``Code``, else ``__type``; the text is body ``message`` or ``Message``. This is botocore's REST-JSON
    parser's rule.
    """
    try:
        parsed = json.loads(body) if body else {}
    except ValueError:
        parsed = None
    fields: dict[str, Any] = parsed if isinstance(parsed, dict) else {}
    code = headers.get("x-amzn-errortype") or fields.get("code") or fields.get("Code") or fields.get("__type")
    text = fields.get("message") or fields.get("Message")
    if not text and parsed is None:
        text = body[:200].decode("utf-8", "replace")
    return api_error(status, str(code or "").split(":")[0].rpartition("#")[2], str(text or ""))


def smtp_error(code: int, text: str) -> SendError:
    """The error for an SMTP reply that refuses, given before or after the message itself.

    4yz says "not accepted, try later" (RFC 5321 section 4.2.1): 421, 451, 454 and the rest are `Unavailable`
    unless the text is a throttle's. 530, 534, 535 and 538 refuse this host's login. Other 5yz refuse this message,
    except where the text says that the account or its domain is at fault. The texts are SES's (developer
    guide, "SMTP response codes").
    """
    named = str(code)
    lower = text.lower()
    if "throttling failure" in lower or "rate exceeded" in lower or ("daily" in lower and "quota" in lower):
        return _throttle(named, text)
    if 400 <= code < 500:
        return Unavailable(named, text)
    if _says_paused(text) or "mail from domain not verified" in lower or "not subscribed" in lower:
        return AccountStopped(named, text)
    if code in {530, 534, 535, 538}:
        return HostUnfit(named, text)
    if "access denied" in lower:
        return Denied(named, text)
    if 500 <= code < 600:
        return Rejected(named, text)
    return OutcomeUnknown(named, text)


def connect_error(code: int, name: str, text: str) -> SendError:
    """The error for a connection that libcurl could not make: no name, no route, no TLS, a proxy that refuses."""
    return Unreachable(name, f"{text} (curl {code})")


def curl_error(code: int, name: str, text: str, *, handed_over: bool) -> SendError:
    """The error for a transfer that libcurl gave up on a connection that stood.

    ``handed_over`` says whether libcurl had taken the whole body from us. If not, SES cannot have a complete
    request, whatever went wrong. If so, it may, whatever libcurl says: the last error may be that of a later
    connection.
    """
    return (OutcomeUnknown if handed_over else Unavailable)(name, f"{text} (curl {code})")


def boto_error(error: Exception, operation: str = "SendEmail") -> SendError:
    """The error for an exception out of a boto3 client's call of ``operation``.

    Exceptions that this seam does not know are `OutcomeUnknown`.
    """
    name = type(error).__name__
    if isinstance(error, SendError):
        return error
    if isinstance(error, aws.ClientError):
        if error.operation_name != operation:
            # botocore called another service for credentials (STS AssumeRole, say) and was refused there.
            return credentials_error(error)
        return _client_error(error)
    if isinstance(error, _NEEDS_A_PERSON):
        return HostUnfit(name, str(error))
    if isinstance(error, aws.ParamValidationError):
        return Rejected(name, str(error))
    if isinstance(error, _NEVER_LEFT) or (
        # botocore raises SSLError for a refused handshake and for a fault in mid-answer; a certificate is
        # refused first.
        isinstance(error, aws.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error)
    ):
        return Unreachable(name, str(error))
    return OutcomeUnknown(name, str(error))


def credentials_error(error: Exception) -> SendError:
    """The error for an exception while looking for credentials, Region or endpoint: nothing can have been
    sent yet.

    What only a person can mend is `HostUnfit`. All else (instance metadata that does not answer, say) may pass, and is
    `Unreachable`.
    """
    name = type(error).__name__
    if isinstance(error, SendError):
        return error
    refused = isinstance(error, aws.ClientError) and isinstance(_client_error(error), _REFUSALS)
    if refused or isinstance(error, (*_NEEDS_A_PERSON, *_UNREADABLE)):
        return HostUnfit(name, str(error))
    return Unreachable(name, str(error))


# Of the service that gives this host its credentials.
_REFUSALS = (AccountStopped, Denied, HostUnfit)


def _client_error(error: Any) -> SendError:
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    said = error.response.get("Error", {})
    code = str(said.get("Code", ""))
    # botocore puts the HTTP status here when the answer names no error.
    return api_error(status, "" if code.isdigit() else code, str(said.get("Message", "")))


# Without credentials, a profile, a Region or a certificate file no message can leave this host.
_NEEDS_A_PERSON: tuple[type[Exception], ...] = (
    aws.NoCredentialsError,
    aws.PartialCredentialsError,
    aws.ProfileNotFound,
    aws.ConfigNotFound,
    aws.ConfigParseError,
    aws.InvalidConfigError,
    aws.NoRegionError,
    aws.InvalidRegionError,
    aws.LoginError,
    aws.UnknownServiceError,
    aws.InfiniteLoopConfigError,
    aws.MissingDependencyException,
    aws.SSOError,
    aws.TokenRetrievalError,
    aws.NoAuthTokenError,
    aws.UnauthorizedSSOTokenError,
)

# Of a file that the AWS settings name: certificates, a web identity's token, the command of credential_process.
_UNREADABLE: tuple[type[Exception], ...] = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)

# No connection was made, or no credentials could be fetched just now. EndpointConnectionError covers refusals
# and names that do not resolve.
_NEVER_LEFT: tuple[type[Exception], ...] = (
    aws.EndpointConnectionError,
    aws.ConnectTimeoutError,
    aws.ProxyConnectionError,
    aws.CredentialRetrievalError,
    aws.MetadataRetrievalError,
)


def _throttle(code: str, text: str) -> SendError:
    """Both limits share their codes; the text tells them apart (``Maximum sending rate exceeded.``, ``Daily
    message quota exceeded.``). An unknown text is taken for the rate: then sending goes on, more slowly where it is
    refused often.
    """
    lower = text.lower()
    is_quota = "daily" in lower and "quota" in lower
    return (QuotaExceeded if is_quota else RateExceeded)(code, text or "SES throttles and does not say which limit")


def _says_paused(text: str) -> bool:
    """AWS's own pause arrives as ``MessageRejected: Sending paused for this account. ...``."""
    lower = text.lower()
    return "sending paused" in lower or "sending is paused" in lower or "account is suspended" in lower
