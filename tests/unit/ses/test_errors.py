"""Every way in which SES, botocore or libcurl can say no, and what it means."""

from __future__ import annotations

import json
import ssl
from typing import Any

import botocore.exceptions as aws
import botocore.session
import pytest

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
from mailer.ses.errors import (
    api_error,
    boto_error,
    credentials_error,
    http_error,
    smtp_error,
)

PAUSED = (
    "Sending paused for this account. For more information, please check the inbox of the email address "
    "associated with your AWS account."
)
RATE = "Maximum sending rate exceeded."
DAILY = "Daily message quota exceeded."

# Codes of the model's errors of SendEmail, and of its 500 that SendEmail does not declare.
MODELLED: dict[str, type[SendError]] = {
    "AccountSuspendedException": AccountStopped,
    "BadRequestException": Rejected,
    "InternalServiceErrorException": OutcomeUnknown,
    "LimitExceededException": RateExceeded,
    "MailFromDomainNotVerifiedException": AccountStopped,
    "MessageRejected": Rejected,
    "NotFoundException": Rejected,
    "SendingPausedException": AccountStopped,
    "TooManyRequestsException": RateExceeded,
}

API: list[tuple[int, str, str, type[SendError]]] = [
    # The rate and the daily quota, by all the names that AWS gives them; only the text tells them apart.
    *(
        (status, code, text, kind)
        for status, code in [
            (429, "TooManyRequestsException"),
            (400, "Throttling"),
            (400, "ThrottlingException"),
            (400, "LimitExceededException"),
            (429, "SomethingNew"),
            (429, ""),
        ]
        for text, kind in [
            (RATE, RateExceeded),
            (DAILY, QuotaExceeded),
            (DAILY.upper(), QuotaExceeded),
            ("Rate exceeded", RateExceeded),
            ("Something new", RateExceeded),
            ("", RateExceeded),
        ]
    ),
    (400, "MessageRejected", PAUSED, AccountStopped),
    (400, "AccountSendingPausedException", "x", AccountStopped),
    (400, "ConfigurationSetSendingPausedException", "x", AccountStopped),
    (400, "SendingPausedException", "x", AccountStopped),
    (400, "AccountSuspendedException", "x", AccountStopped),
    (400, "MessageRejected", "Email address is not verified. The following identities failed ...", Rejected),
    (400, "MailFromDomainNotVerifiedException", "x", AccountStopped),
    (400, "ConfigurationSetDoesNotExist", "Configuration set <X> does not exist.", Rejected),
    (404, "NotFoundException", "Configuration set <X> does not exist.", Rejected),
    (400, "TemplateDoesNotExist", "x", Rejected),
    (400, "InvalidParameterValue", "Missing final '@domain'", Rejected),
    (400, "BadRequestException", "Illegal address", Rejected),
    (400, "InvalidParameterValue", "Recipient count exceeds 50.", Rejected),
    (400, "InvalidParameterValue", "Message length is more than 10485760 bytes long: '12078147'.", Rejected),
    (413, "", "", Rejected),
    # The rights of this host's key: it may send nothing, or nothing from this sender.
    (403, "AccessDenied", "x", Denied),
    (403, "AccessDeniedException", "x", Denied),
    (403, "NotAuthorized", "x", Denied),
    (403, "SomethingNew", "x", Denied),
    (403, "", "<html>Forbidden</html>", Denied),
    (401, "", "", Denied),
    # The clock, the key, the signature and the token of this host.
    (403, "SignatureDoesNotMatch", "Signature expired: ...", Misdated),
    (403, "InvalidSignatureException", "Signature not yet current: ...", Misdated),
    (403, "RequestTimeTooSkewed", "x", Misdated),
    (400, "RequestExpired", "x", Misdated),
    (403, "SignatureDoesNotMatch", "The request signature we calculated does not match ...", HostUnfit),
    *(
        (status, code, "x", HostUnfit)
        for code in [
            *("AuthFailure", "AuthorizationHeaderMalformed", "ExpiredToken", "ExpiredTokenException"),
            *("IncompleteSignature", "IncompleteSignatureException", "InvalidAccessKeyId", "InvalidClientTokenId"),
            *("InvalidSignature", "InvalidSignatureException", "InvalidToken", "MissingAuthenticationToken"),
            *("MissingAuthenticationTokenException", "SignatureDoesNotMatch", "TokenRefreshRequired"),
            *("UnknownOperationException", "UnrecognizedClientException"),
        ]
        for status in (400, 403)
    ),
    # The account, whoever asks.
    (400, "OptInRequired", "x", AccountStopped),
    (403, "SubscriptionRequiredException", "x", AccountStopped),
    (400, "SomethingNew", "x", Rejected),
    (500, "InternalFailure", "x", OutcomeUnknown),
    (503, "ServiceUnavailable", "x", Unavailable),
    # A balancer's or a proxy's answer in SES's place.
    (503, "", "", Unreachable),
    (502, "", "", OutcomeUnknown),
    (504, "", "", OutcomeUnknown),
    (404, "", "", Unreachable),
    (302, "", "", Unreachable),
    (407, "", "", Unreachable),
    (408, "", "", Unreachable),
    (200, "", "", OutcomeUnknown),
]

SMTP: list[tuple[int, str, type[SendError]]] = [
    (421, "Too many concurrent SMTP connections", Unavailable),
    (451, "Temporary service failure", Unavailable),
    (451, "4.4.2 Timeout waiting for data from client.", Unavailable),
    (454, "Throttling failure: Maximum sending rate exceeded", RateExceeded),
    (454, "Throttling failure: Daily message quota exceeded", QuotaExceeded),
    (454, "Throttling failure: Maximum SigV2 SMTP sending rate exceeded", RateExceeded),
    (454, "Throttling failure: something new", RateExceeded),
    (454, "Temporary authentication failure", Unavailable),
    (454, "Temporary service failure", Unavailable),
    (530, "Authentication required", HostUnfit),
    (530, "Must issue a STARTTLS command first", HostUnfit),
    (535, "Authentication Credentials Invalid", HostUnfit),
    (535, "Account not subscribed to SES", AccountStopped),
    (552, "Message is too long.", Rejected),
    (553, "<ann@example.com> Invalid email address", Rejected),
    (553, "<ann@example.com> address unknown", Rejected),
    (554, "Access denied: User `arn' is not authorized", Denied),
    (554, "Message rejected: Email address is not verified.", Rejected),
    (554, f"Message rejected: {PAUSED}", AccountStopped),
    (554, "Transaction failed: Recipient count exceeds 50.", Rejected),
    (554, "MAIL FROM domain not verified: x", AccountStopped),
    (-1, "", OutcomeUnknown),
]


def test_every_error_of_send_email_in_botocores_model_is_known_here() -> None:
    model = botocore.session.Session().get_service_model("sesv2")
    declared = {shape.name for shape in model.operation_model("SendEmail").error_shapes}

    assert declared | {"InternalServiceErrorException"} == set(MODELLED)


@pytest.mark.parametrize("code", sorted(MODELLED))
def test_a_modelled_error_is_the_same_through_boto3_and_on_the_wire(code: str) -> None:
    model = botocore.session.Session().get_service_model("sesv2")
    status = model.shape_for(code).metadata["error"]["httpStatusCode"]
    client_error = aws.ClientError(
        {"Error": {"Code": code, "Message": "words"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "SendEmail"
    )

    on_the_wire = http_error(status, {"x-amzn-errortype": f"{code}:http://x/"}, b'{"message":"words"}')
    through_boto3 = boto_error(client_error)

    assert type(on_the_wire) is type(through_boto3) is MODELLED[code]
    assert (on_the_wire.code, on_the_wire.detail) == (through_boto3.code, through_boto3.detail) == (code, "words")


@pytest.mark.parametrize(("status", "code", "text", "expected"), API)
def test_an_api_error_says_what_to_do_next(status: int, code: str, text: str, expected: type[SendError]) -> None:
    error = api_error(status, code, text)

    assert type(error) is expected
    assert error.code == (code or f"HTTP {status}")
    assert text in error.detail


@pytest.mark.parametrize(("code", "text", "expected"), SMTP)
def test_an_smtp_reply_says_what_to_do_next(code: int, text: str, expected: type[SendError]) -> None:
    error = smtp_error(code, text)

    assert type(error) is expected
    assert (error.code, error.detail) == (str(code), text)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"x-amzn-errortype": "MessageRejected:http://internal/"}, {"message": "words"}),
        ({"x-amzn-errortype": "com.amazonaws.ses#MessageRejected"}, {"Message": "words"}),
        ({}, {"code": "MessageRejected", "message": "words"}),
        ({}, {"__type": "aws.ses#MessageRejected", "message": "words"}),
    ],
)
def test_the_code_is_found_wherever_aws_puts_it(headers: dict[str, str], body: dict[str, Any]) -> None:
    error = http_error(400, headers, json.dumps(body).encode())

    assert (type(error), error.code, error.detail) == (Rejected, "MessageRejected", "words")


@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>", b"[]", b'"text"', b"\xff\xfe"])
def test_a_body_that_is_not_sess_does_no_harm(body: bytes) -> None:
    assert type(http_error(502, {}, body)) is OutcomeUnknown


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (aws.ParamValidationError(report="r"), Rejected),
        (aws.EndpointConnectionError(endpoint_url="u"), Unreachable),
        (aws.ConnectTimeoutError(endpoint_url="u"), Unreachable),
        (aws.ProxyConnectionError(proxy_url="u"), Unreachable),
        (aws.SSLError(endpoint_url="u", error=ssl.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED]")), Unreachable),
        (aws.SSLError(endpoint_url="u", error=ssl.SSLError("bad record mac")), OutcomeUnknown),
        (aws.ReadTimeoutError(endpoint_url="u"), OutcomeUnknown),
        (aws.ConnectionClosedError(endpoint_url="u"), OutcomeUnknown),
        (aws.HTTPClientError(error=OSError()), OutcomeUnknown),
        (aws.NoCredentialsError(), HostUnfit),
        (aws.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), HostUnfit),
        (aws.NoRegionError(), HostUnfit),
        (aws.UnauthorizedSSOTokenError(), HostUnfit),
        (aws.CredentialRetrievalError(provider="p", error_msg="m"), Unreachable),
        (ZeroDivisionError("x"), OutcomeUnknown),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_botocores_own_exceptions_say_whether_anything_was_sent(error: Exception, expected: type[SendError]) -> None:
    assert type(boto_error(error)) is expected
    assert boto_error(error).code == type(error).__name__


def sts_error(status: int, code: str, text: str) -> aws.ClientError:
    return aws.ClientError(
        {"Error": {"Code": code, "Message": text}, "ResponseMetadata": {"HTTPStatusCode": status}}, "AssumeRole"
    )


def test_a_refusal_by_the_service_that_gives_credentials_is_not_taken_for_sess_own() -> None:
    assert type(boto_error(sts_error(403, "AccessDenied", "x"))) is HostUnfit
    assert type(boto_error(sts_error(400, "Throttling", "Rate exceeded"))) is Unreachable
    assert type(credentials_error(sts_error(500, "InternalFailure", "x"))) is Unreachable


def test_anything_else_that_goes_wrong_with_credentials_may_pass() -> None:
    assert type(credentials_error(TimeoutError("metadata"))) is Unreachable
