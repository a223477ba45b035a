"""SES's refusals: one row per condition, with SES's words on every interface.

Codes and texts come from the SES facts sheet, sections 2 and 5. Where SES's own wording is not known in public, the
text follows the API model's documentation, and the row says so. U in a row means unverified.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

SKEW_SECONDS = 5 * 60
"""By how much a signature's time may differ from SES's."""


@dataclass(frozen=True, slots=True)
class SesError:
    """One condition. ``kind`` is the simulator's name for it, as in the counts of ``/_sim/stats``.

    ``status`` and ``code`` belong to the v2 API. ``smtp`` is the whole reply line. ``v1`` is the v1 API's code where
    that differs, and ``v1_text`` its text. ``bulk`` is the status of an entry in a bulk send.
    """

    kind: str
    status: int
    code: str
    text: str
    smtp: str
    v1: str = ""
    v1_text: str = ""
    bulk: str = "FAILED"

    @property
    def v1_status(self) -> int:
        """The v1 API has no 404 and no 429."""
        return self.status if self.status == 403 or self.status >= 500 else 400

    def saying(self, text: str) -> SesError:
        """The same condition with the text of one case. SMTP adds its own prefix to the text."""
        return replace(self, text=text, smtp=self.smtp.replace("{}", text))

    def about(self, name: str) -> SesError:
        """The same condition, with the ``name`` of the resource concerned in its text."""
        return replace(self, text=self.text.replace("{}", name), smtp=self.smtp.replace("{}", name))


class Refused(Exception):
    """Ends the handling of a request with an SES error. It is control flow, so nothing logs it as an error."""

    def __init__(self, error: SesError) -> None:
        self.error = error
        super().__init__(error.text)


RATE = SesError(
    "rate",
    429,
    "TooManyRequestsException",
    "Maximum sending rate exceeded.",
    "454 Throttling failure: Maximum sending rate exceeded",
    v1="Throttling",
    bulk="ACCOUNT_THROTTLED",
)
QUOTA = SesError(
    "quota",
    429,
    "TooManyRequestsException",
    "Daily message quota exceeded.",
    "454 Throttling failure: Daily message quota exceeded",
    v1="Throttling",
    bulk="ACCOUNT_DAILY_QUOTA_EXCEEDED",
)
CONTROL_RATE = SesError(
    "control-rate",
    429,
    "TooManyRequestsException",
    "Rate exceeded",
    "454 Temporary service failure",
    v1="Throttling",
)
_PAUSED_TEXT = (
    "Sending paused for this account. For more information, please check the inbox of the email address "
    "associated with your AWS account."
)
PAUSED = SesError(
    "paused",
    400,
    "SendingPausedException",
    _PAUSED_TEXT,  # U: seen in public only where AWS itself had paused the account
    f"554 Message rejected: {_PAUSED_TEXT}",
    v1="AccountSendingPausedException",
    bulk="ACCOUNT_SENDING_PAUSED",
)
CONFIGURATION_SET_PAUSED = SesError(
    "paused",
    400,
    "SendingPausedException",
    "Sending is paused for configuration set {}.",  # U
    "554 Message rejected: Sending is paused for configuration set {}.",
    v1="ConfigurationSetSendingPausedException",
    bulk="CONFIGURATION_SET_SENDING_PAUSED",
)
_SUSPENDED_TEXT = (
    # The API model's own words. SES's wording on the wire is not known in public.
    "The message can't be sent because the account's ability to send email has been permanently restricted."
)
SUSPENDED = SesError(
    "suspended",
    400,
    "AccountSuspendedException",
    _SUSPENDED_TEXT,
    f"554 Message rejected: {_PAUSED_TEXT}",
    v1="MessageRejected",
    v1_text=_PAUSED_TEXT,
    bulk="ACCOUNT_SUSPENDED",
)
REJECTED = SesError("rejected", 400, "MessageRejected", "{}", "554 Message rejected: {}", bulk="MESSAGE_REJECTED")
MAIL_FROM = SesError(
    "mail-from",
    400,
    "MailFromDomainNotVerifiedException",
    "The message can't be sent because the sending domain isn't verified.",  # the model's; on the wire U
    "554 MAIL FROM domain not verified: The sending domain isn't verified.",
    bulk="MAIL_FROM_DOMAIN_NOT_VERIFIED",
)
BAD_REQUEST = SesError(
    "bad-request",
    400,
    "BadRequestException",
    "{}",
    "554 Transaction failed: {}",
    v1="InvalidParameterValue",
    bulk="INVALID_PARAMETER",
)
CONSTRAINT = replace(BAD_REQUEST, v1="ValidationError")
"""A request breaks a constraint of the API's model. AWS checks this before SES itself sees the request."""
SENDING_POOL = replace(
    BAD_REQUEST, text="The sending pool doesn't exist.", bulk="INVALID_SENDING_POOL_NAME"
)  # U, and only on request: a configuration set cannot be made with a pool that does not exist
TOO_LARGE = replace(BAD_REQUEST, kind="too-large", smtp="552 Message is too long.")
NOT_FOUND = SesError(
    "not-found", 404, "NotFoundException", "{}", "554 Message rejected: {}", v1="InvalidParameterValue"
)
CONFIGURATION_SET_MISSING = SesError(
    "not-found",
    404,
    "NotFoundException",
    "Configuration set <{}> does not exist.",
    "554 Message rejected: Configuration set <{}> does not exist.",
    v1="ConfigurationSetDoesNotExist",
    bulk="CONFIGURATION_SET_NOT_FOUND",
)
TEMPLATE_MISSING = SesError(
    "not-found",
    404,
    "NotFoundException",
    "Template {} does not exist.",
    "554 Message rejected: Template {} does not exist.",
    v1="TemplateDoesNotExist",
    bulk="TEMPLATE_NOT_FOUND",
)
BAD_TEMPLATE = replace(BAD_REQUEST, v1="InvalidTemplate")
BAD_RENDERING_DATA = replace(BAD_REQUEST, v1="InvalidRenderingParameter")
MISSING_ATTRIBUTE = replace(
    BAD_REQUEST, text="Attribute '{}' is not present in the rendering data.", v1="MissingRenderingAttribute"
)
ALREADY_EXISTS = SesError("already-exists", 400, "AlreadyExistsException", "{}", "500 Error", v1="AlreadyExists")
CONFIGURATION_SET_EXISTS = replace(
    ALREADY_EXISTS, text="Configuration set {} already exists.", v1="ConfigurationSetAlreadyExists"
)
LIMIT = SesError(
    "limit",
    400,
    "LimitExceededException",
    "There are too many instances of the specified resource type.",  # the model's; on the wire U
    "454 Temporary service failure",
    v1="LimitExceeded",
)
UNKNOWN_OPERATION = SesError("unknown-operation", 404, "UnknownOperationException", "Unknown operation", "500 Error")
UNKNOWN_ACTION = SesError("unknown-operation", 400, "InvalidAction", "{}", "500 Error")
"""Only the v1 API has this error."""
NOT_JSON = SesError(
    "bad-request", 400, "SerializationException", "{}", "500 Error", v1="MalformedInput", bulk="INVALID_PARAMETER"
)
_DENIED_TEXT = (
    "User `arn:aws:iam::123456789012:user/simulator' is not authorized to perform `ses:SendEmail' on resource "
    "`arn:aws:ses:us-east-1:123456789012:identity/example.com'"
)
ACCESS_DENIED = SesError(
    "access-denied", 403, "AccessDeniedException", _DENIED_TEXT, f"554 Access denied: {_DENIED_TEXT}", v1="AccessDenied"
)
FOREIGN = SesError("foreign", 403, "AccessDeniedException", "", "554 Access denied", v1="AccessDenied")
"""Not an error of SES: another web page or another user made the request, or the host name is not the simulator's."""
MISSING_TOKEN = SesError(
    "credentials",
    403,
    "MissingAuthenticationTokenException",
    "Missing Authentication Token",
    "530 Authentication required",
    v1="MissingAuthenticationToken",
)
UNKNOWN_KEY = SesError(
    "credentials",
    403,
    "UnrecognizedClientException",
    "The security token included in the request is invalid.",
    "535 Authentication Credentials Invalid",
    v1="InvalidClientTokenId",
)
EXPIRED_TOKEN = SesError(
    "credentials",
    403,
    "ExpiredTokenException",
    "The security token included in the request is expired",
    "535 Authentication Credentials Invalid",
    v1="ExpiredToken",
)
BAD_SIGNATURE = SesError(
    "credentials",
    403,
    "InvalidSignatureException",
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
    "Key and signing method. Consult the service documentation for details.",
    "535 Authentication Credentials Invalid",
    v1="SignatureDoesNotMatch",
)
INTERNAL = SesError(
    "internal",
    500,
    "InternalServiceErrorException",
    "Internal service error",  # U: no public capture of the text
    "451 Temporary service failure",
    v1="InternalFailure",
)
UNAVAILABLE = SesError(
    "unavailable",
    503,
    "ServiceUnavailable",
    "Service Unavailable",  # U
    "451 Temporary service failure",
    bulk="TRANSIENT_FAILURE",
)

BY_NAME: dict[str, SesError] = {
    "throttle": RATE,
    "daily-quota": QUOTA,
    "control-rate": CONTROL_RATE,
    "paused": PAUSED,
    "suspended": SUSPENDED,
    "rejected": REJECTED.saying("Address blacklisted."),
    "not-verified": REJECTED.saying(
        "Email address is not verified. The following identities failed the check in region US-EAST-1: "
        "sender@example.com"
    ),
    "mail-from": MAIL_FROM,
    "configuration-set": CONFIGURATION_SET_MISSING.about("main"),
    "configuration-set-paused": CONFIGURATION_SET_PAUSED.about("main"),
    "template": TEMPLATE_MISSING.about("welcome"),
    "sending-pool": SENDING_POOL,
    "limit": LIMIT,
    "bad-request": BAD_REQUEST.saying("Missing final '@domain'"),
    "access-denied": ACCESS_DENIED,
    "expired-token": EXPIRED_TOKEN,
    "bad-signature": BAD_SIGNATURE,
    "clock-skew": BAD_SIGNATURE,
    "internal": INTERNAL,
    "unavailable": UNAVAILABLE,
}
"""The errors that a fault can name (``--fault error,error=throttle``). ``named`` gives them their Region and time."""


def named(name: str, region: str, wall: float) -> SesError:
    """The error of that name, in the words of SES in ``region`` at the time of day ``wall``."""
    if name == "clock-skew":
        return skewed(wall - 3 * SKEW_SECONDS, wall)
    error = BY_NAME[name]

    def here(text: str) -> str:
        return text.replace("us-east-1", region).replace("US-EAST-1", region.upper())

    return replace(error, text=here(error.text), smtp=here(error.smtp))


def skewed(signed_at: float, now: float) -> SesError:
    """AWS's error for a signature whose time differs too much from its own."""
    server, limit = _stamp(now), _stamp(now - SKEW_SECONDS if signed_at < now else now + SKEW_SECONDS)
    if signed_at < now:
        text = f"Signature expired: {_stamp(signed_at)} is now earlier than {limit} ({server} - 5 min.)"
    else:
        text = f"Signature not yet current: {_stamp(signed_at)} is still later than {limit} ({server} + 5 min.)"
    return BAD_SIGNATURE.saying(text)


def _stamp(at: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
