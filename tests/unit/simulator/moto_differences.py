"""Where moto's server and the simulator answer the same call differently, and why that is meant.

The table in docs/simulator.md is made of this one: ``python -m tests.unit.simulator.moto_differences``.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.unit.simulator.moto_cases import Answer

UNVERIFIED = "Email address is not verified. The following identities failed the check in region US-EAST-1:"
KINDS = "failed to satisfy constraint: Member must satisfy enum value set: [Domain, EmailAddress]"


class Difference(NamedTuple):
    moto: Answer
    simulator: Answer
    why: str


DIFFERENCES = {
    "v1 the statistics of a new account": Difference(
        (
            200,
            {
                "SendDataPoints": [
                    {"Timestamp": "<time>", "DeliveryAttempts": 0, "Bounces": 0, "Complaints": 0, "Rejects": 0}
                ]
            },
        ),
        (200, {"SendDataPoints": []}),
        "moto makes a point of nothing; SES has points only for quarters of an hour in which something was sent",
    ),
    "v1 nobody may send before that": Difference(
        (400, "MessageRejected: Email address not verified news@example.com"),
        (
            400,
            f"MessageRejected: {UNVERIFIED} news@example.com",
        ),
        "moto has words of its own for an unverified sender; ours are SES's",
    ),
    "v1 a type of identity that is none": Difference(
        (
            400,
            f"ValidationError: Value 'Person' at 'identityType' {KINDS}",
        ),
        (
            400,
            f"ValidationError: 1 validation error detected: Value at 'identityType' {KINDS}",
        ),
        "the usual beginning of AWS's validation errors, and without the value",
    ),
    "v1 from an address that is not verified": Difference(
        (400, "MessageRejected: Email address not verified who@else.example"),
        (
            400,
            f"MessageRejected: {UNVERIFIED} who@else.example",
        ),
        "moto has words of its own for an unverified sender; ours are SES's",
    ),
    "v1 to what is no address": Difference(
        (400, "InvalidParameterValue: Missing domain"),
        (400, "InvalidParameterValue: Missing final '@domain'"),
        "moto only looks for a domain; SES parses the address",
    ),
    "v1 to an address with a space": Difference(
        (200, {"MessageId": "<MessageId>"}),
        (400, "InvalidParameterValue: Local address contains control or whitespace"),
        "moto only looks for a domain; SES parses the address",
    ),
    "v1 to one with a space in the domain": Difference(
        (200, {"MessageId": "<MessageId>"}),
        (400, "InvalidParameterValue: Domain contains control or whitespace"),
        "moto only looks for a domain; SES parses the address",
    ),
    "v1 to two in one entry": Difference(
        (200, {"MessageId": "<MessageId>"}),
        (400, "InvalidParameterValue: Illegal address"),
        "moto only looks for a domain; SES parses the address",
    ),
    "v1 to nobody": Difference(
        (200, {"MessageId": "<MessageId>"}),
        (400, "InvalidParameterValue: Missing required header 'To'."),
        "SES does not send to nobody",
    ),
    "v1 to fifty-one": Difference(
        (400, "MessageRejected: Too many recipients."),
        (400, "InvalidParameterValue: Recipient count exceeds 50."),
        "SES's code and words, as seen in public",
    ),
    "v1 with a configuration set that is not there": Difference(
        (200, {"MessageId": "<MessageId>"}),
        (400, "ConfigurationSetDoesNotExist: Configuration set <none> does not exist."),
        "moto does not look at configuration sets when it sends",
    ),
    "v1 raw, without a sender": Difference(
        (400, "MessageRejected: Source not specified"),
        (400, "InvalidParameterValue: Missing required header 'From'."),
        "SES names the header that is missing",
    ),
    "v1 raw, from an address that is not verified": Difference(
        (400, "MessageRejected: Did not have authority to send from email who@example.com"),
        (
            400,
            f"MessageRejected: {UNVERIFIED} who@example.com",
        ),
        "moto has words of its own for an unverified sender; ours are SES's",
    ),
    "v1 raw, with a source that is not verified": Difference(
        (400, "MessageRejected: Did not have authority to send from email who@else.example"),
        (
            400,
            f"MessageRejected: {UNVERIFIED} who@else.example",
        ),
        "moto has words of its own for an unverified sender; ours are SES's",
    ),
    "v1 raw, to what is no address": Difference(
        (400, "InvalidParameterValue: Missing domain"),
        (400, "InvalidParameterValue: Missing final '@domain'"),
        "moto only looks for a domain; SES parses the address",
    ),
    "v1 raw, to fifty-one": Difference(
        (400, "MessageRejected: Too many recipients."),
        (400, "InvalidParameterValue: Recipient count exceeds 50."),
        "SES's code and words, as seen in public",
    ),
    "v1 from a template that is not there": Difference(
        (400, "TemplateDoesNotExist: Template (none) does not exist"),
        (400, "TemplateDoesNotExist: Template none does not exist."),
        "SES's words, as seen in public",
    ),
    "v1 from a template, not verified": Difference(
        (400, "MessageRejected: Email address not verified who@else.example"),
        (
            400,
            f"MessageRejected: {UNVERIFIED} who@else.example",
        ),
        "moto has words of its own for an unverified sender; ours are SES's",
    ),
    "v1 from a template, to what is no address": Difference(
        (400, "InvalidParameterValue: Missing domain"),
        (400, "InvalidParameterValue: Missing final '@domain'"),
        "moto only looks for a domain; SES parses the address",
    ),
    "v1 in bulk": Difference(
        (200, {"Status": [{"MessageId": "<MessageId>"}, {"MessageId": "<MessageId>"}]}),
        (
            200,
            {
                "Status": [
                    {"Status": "Success", "MessageId": "<MessageId>"},
                    {"Status": "Success", "MessageId": "<MessageId>"},
                ]
            },
        ),
        "moto leaves out the status, which the API's model says is always there",
    ),
    "v1 in bulk, from a template that is not there": Difference(
        (400, "TemplateDoesNotExist: Template (none) does not exist"),
        (400, "TemplateDoesNotExist: Template none does not exist."),
        "SES's words, as seen in public",
    ),
    "v1 in bulk, not verified": Difference(
        (400, "MessageRejected: Email address not verified who@else.example"),
        (
            200,
            {
                "Status": [
                    {
                        "Status": "MessageRejected",
                        "Error": f"{UNVERIFIED} who@else.example",
                    },
                    {
                        "Status": "MessageRejected",
                        "Error": f"{UNVERIFIED} who@else.example",
                    },
                ]
            },
        ),
        "SES tells it of each entry, and moto of the whole call",
    ),
    "v1 in bulk, to fifty-one": Difference(
        (400, "MessageRejected: Too many destinations."),
        (400, "InvalidParameterValue: Recipient count exceeds 50."),
        "SES's code and words, as seen in public",
    ),
    "v2 from an address that is not verified": Difference(
        (400, "MessageRejected: Email address not verified who@else.example"),
        (
            400,
            f"MessageRejected: {UNVERIFIED} who@else.example",
        ),
        "moto has words of its own for an unverified sender; ours are SES's",
    ),
    "v2 raw, not verified": Difference(
        (400, "MessageRejected: Did not have authority to send from email who@else.example"),
        (
            400,
            f"MessageRejected: {UNVERIFIED} who@else.example",
        ),
        "moto has words of its own for an unverified sender; ours are SES's",
    ),
    "v2 to what is no address": Difference(
        (400, "InvalidParameterValue: Missing domain"),
        (400, "BadRequestException: Missing final '@domain'"),
        "the v2 API's own code, and the address is parsed",
    ),
    "v2 to fifty-one": Difference(
        (400, "MessageRejected: Too many recipients."),
        (400, "BadRequestException: Recipient count exceeds 50."),
        "SES's code and words, as seen in public",
    ),
    "v2 with a configuration set that is not there": Difference(
        (200, {"MessageId": "<MessageId>"}),
        (404, "NotFoundException: Configuration set <none> does not exist."),
        "moto does not look at configuration sets when it sends",
    ),
    "v2 from a template": Difference(
        (500, "no answer of SES's"), (200, {"MessageId": "<MessageId>"}), "moto's SendEmail breaks off at a template"
    ),
    "v1 the quota of an account that has sent": Difference(
        (200, {"Max24HourSend": 200.0, "MaxSendRate": 1.0, "SentLast24Hours": 76.0}),
        (200, {"Max24HourSend": 200.0, "MaxSendRate": 1.0, "SentLast24Hours": 70.0}),
        "moto counts what an envelope and its message's headers both name twice, and does not refuse what SES refuses",
    ),
    "v1 the statistics of an account that has sent": Difference(
        (
            200,
            {
                "SendDataPoints": [
                    {"Timestamp": "<time>", "DeliveryAttempts": 76, "Bounces": 0, "Complaints": 0, "Rejects": 5}
                ]
            },
        ),
        (
            200,
            {
                "SendDataPoints": [
                    {"Timestamp": "<time>", "DeliveryAttempts": 70, "Bounces": 0, "Complaints": 0, "Rejects": 0}
                ]
            },
        ),
        "the same, and moto counts refused calls as rejects; SES's are accepted mail with a virus",
    ),
    "v2 the account": Difference(
        (404, "no answer of SES's"),
        (
            200,
            {
                "DedicatedIpAutoWarmupEnabled": False,
                "EnforcementStatus": "HEALTHY",
                "ProductionAccessEnabled": True,
                "SendQuota": {"Max24HourSend": 200.0, "MaxSendRate": 1.0, "SentLast24Hours": 70.0},
                "SendingEnabled": True,
                "SuppressionAttributes": {"SuppressedReasons": ["BOUNCE", "COMPLAINT"]},
            },
        ),
        "moto has not got the operation",
    ),
    "v2 in bulk": Difference(
        (404, "no answer of SES's"),
        (200, {"BulkEmailEntryResults": [{"Status": "SUCCESS", "MessageId": "<MessageId>"}]}),
        "moto has not got the operation",
    ),
}


def table() -> str:
    """Markdown."""
    rows = [
        f"| {name} | {_said(each.moto)} | {_said(each.simulator)} | {each.why} |" for name, each in DIFFERENCES.items()
    ]
    return "\n".join(["| call | moto | simulator | why |", "| --- | --- | --- | --- |", *rows])


def _said(answer: Answer) -> str:
    status, said = answer
    return f"{status} {said if isinstance(said, str) else f'`{said}`'}".replace("|", "\\|")


if __name__ == "__main__":
    print(table())  # noqa: T201 - to be pasted
