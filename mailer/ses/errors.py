"""The one seam that maps SES's answers, in any of its dialects, to a `SendError`. Each error is named by the action it
calls for.

SES has three dialects: codes of API v2 (``TooManyRequestsException``), codes of API v1 (``Throttling``) and SMTP
replies (``454 Throttling failure: ...``). The same text means the same thing in all of them. There are also failures
outside SES: the request never reached it, or its answer never came back. Those arrive as botocore's exceptions.
(`mailer.ses.curl` judges libcurl's.)

Two questions decide everything.

- *Did SES certainly not accept the message?* A parsed 4xx proves that. So does a failure before the last byte of the
  request was handed over. Anything else is `OutcomeUnknown`.
- *Who is at fault?* The account (`RateExceeded`, `QuotaExceeded`, `AccountStopped`), this host (`HostUnfit`,
  `Unreachable`, `Misdated`), one of the two sides of a permission (`Denied`), SES for the moment (`Unavailable`),
  or the message (`Rejected`).

SES's own words stay in ``detail``. They may quote addresses: mask them in logs.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
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
from mailer.ses.remedies import REFUSED, is_misdated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# AWS's documents and SDKs use all these names for a throttle. Only the text distinguishes the rate from the quota.
_THROTTLES = {"LimitExceeded", "RequestLimitExceeded", "Throttled", "Throttling", "TooManyRequests"}

# Every host of the account gets the same answer until somebody changes something in SES.
_STOPS = {
    "AccountSendingPaused",
    "AccountSuspended",
    "ConfigurationSetSendingPaused",
    "MailFromDomainNotVerified",
    "OptInRequired",
    "ProductionAccessNotGranted",
    "SendingPaused",
    "SubscriptionRequired",
}


def api_error(status: int, code: str, detail: str) -> SendError:
    """The error for an unsuccessful HTTP response of SES.

    ``code`` is SES's name for the error. It is empty if the response is not SES's (a proxy's page, for example). API v2
    and some services append ``Exception`` to it.
    """
    named, bare = code or f"HTTP {status}", code.removesuffix("Exception")
    if bare in _THROTTLES or status == 429:
        return _throttle(named, detail)
    if status >= 500 and (code or status != 503):
        # ServiceUnavailable alone says that SES did not process the request.
        return (Unavailable if bare == "ServiceUnavailable" else OutcomeUnknown)(named, detail)
    if status < 300:
        return OutcomeUnknown(named, detail or "SES answered without a MessageId")
    if status == 413 and not code:
        return Rejected(named, detail or "too large for SES or for a proxy before it")
    if not code and status not in {401, 403}:
        # A proxy that wants a login, a web page, a load balancer without a backend.
        return Unreachable(named, detail or "this is not SES's answer: check the endpoint and the proxy")
    return _refusal(status, named, bare, detail)


def _refusal(status: int, named: str, bare: str, detail: str) -> SendError:
    if is_misdated(bare, detail):
        return Misdated(named, detail)
    if bare in REFUSED:
        return HostUnfit(named, detail)
    if bare in _STOPS or _says_paused(detail):
        return AccountStopped(named, detail)
    if status in {401, 403}:
        # AccessDenied and similar codes. A proxy's page, too, may concern this message only or all of them.
        return Denied(named, detail)
    return Rejected(named, detail)


def http_error(status: int, headers: Mapping[str, str], body: bytes) -> SendError:
    """The error for a raw HTTP response of API v2. Header names are in lower case.

    The code is in the header ``x-amzn-ErrorType`` (before ``:``, after ``#``), else in the body's ``code`` or ``Code``,
    else in its ``__type``. The text is in the body's ``message`` or ``Message``. botocore's REST-JSON parser has the
    same rules.
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
    """The error for an SMTP reply that refuses, before or after the content.

    4yz means "not accepted, try later" (RFC 5321 section 4.2.1): 421, 451, 454 and the rest are `Unavailable`, unless
    the text is that of a throttle. 530, 534, 535 and 538 refuse this host's login. Any other 5yz refuses this message,
    unless the text blames the account or its domain. The texts are SES's (developer guide, "SMTP response codes").
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


def boto_error(error: Exception, operation: str = "SendEmail") -> SendError:
    """The error for an exception from a boto3 client's call of ``operation``.

    Exceptions unknown to this module are `OutcomeUnknown`.
    """
    name = type(error).__name__
    if isinstance(error, SendError):
        return error
    if isinstance(error, aws.ClientError):
        # For credentials botocore calls another service (STS AssumeRole, for example), which may refuse as well.
        return _client_error(error) if error.operation_name == operation else credentials_error(error)
    if isinstance(error, _NEEDS_A_PERSON):
        return HostUnfit(name, str(error))
    if isinstance(error, aws.ParamValidationError):
        return Rejected(name, str(error))
    if isinstance(error, _NEVER_LEFT) or (
        # botocore raises SSLError for a refused handshake and for a fault in the middle of an answer. A certificate is
        # refused before any byte of the request goes out.
        isinstance(error, aws.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error)
    ):
        return Unreachable(name, str(error))
    return OutcomeUnknown(name, str(error))


def credentials_error(error: Exception) -> SendError:
    """The error for an exception in the search for credentials, Region or endpoint. Nothing was sent yet.

    `HostUnfit` if only a person can fix it. Everything else (instance metadata that does not answer, for example) may
    pass, and is `Unreachable`.
    """
    name = type(error).__name__
    if isinstance(error, SendError):
        return error
    refused = isinstance(error, aws.ClientError) and isinstance(
        _client_error(error), AccountStopped | Denied | HostUnfit
    )
    if refused or isinstance(error, (*_NEEDS_A_PERSON, *_UNREADABLE)):
        return HostUnfit(name, str(error))
    return Unreachable(name, str(error))


@contextmanager
def raised_as(translate: Callable[[Exception], SendError]) -> Iterator[None]:
    """Raise the `SendError` that ``translate`` makes of an exception. A `SendError` passes as it is: it must not become
    its own cause.
    """
    try:
        yield
    except SendError:
        raise
    except Exception as error:
        raise translate(error) from error


def _client_error(error: Any) -> SendError:
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    said = error.response.get("Error", {})
    code = str(said.get("Code", ""))
    # botocore puts the HTTP status here if the response names no error.
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
    aws.MissingDependencyException,
    aws.SSOError,
    aws.TokenRetrievalError,
    aws.NoAuthTokenError,
)

# For a file that the AWS settings name: certificates, the token of a web identity, the command of credential_process.
_UNREADABLE: tuple[type[Exception], ...] = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)

# No connection was made, or no credentials could be fetched just now. botocore raises EndpointConnectionError for
# refused connections and for names that do not resolve.
_NEVER_LEFT: tuple[type[Exception], ...] = (
    aws.EndpointConnectionError,
    aws.ConnectTimeoutError,
    aws.ProxyConnectionError,
    aws.CredentialRetrievalError,
    aws.MetadataRetrievalError,
)


def _throttle(code: str, text: str) -> SendError:
    """`QuotaExceeded` or `RateExceeded`. Both limits share their codes; the text distinguishes them (``Maximum sending
    rate exceeded.``, ``Daily message quota exceeded.``). An unknown text counts as the rate: then sending continues,
    and slows down if SES refuses often.
    """
    lower = text.lower()
    is_quota = "daily" in lower and "quota" in lower
    return (QuotaExceeded if is_quota else RateExceeded)(code, text or "SES throttles and does not say which limit")


def _says_paused(text: str) -> bool:
    """AWS's own pause arrives as ``MessageRejected: Sending paused for this account. ...``."""
    lower = text.lower()
    return "sending paused" in lower or "sending is paused" in lower or "account is suspended" in lower
