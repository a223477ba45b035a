"""The same calls for moto's server and for the simulator, and where the answers are meant to differ.

An answer is what boto3 makes of it: (HTTP status, the parsed answer or code and text of the error), with message ids
and times replaced by what they are.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

Answer = tuple[int, Any]


class Case(NamedTuple):
    """One call of ``operation``, under a name that reads as a fact."""

    name: str
    api: str
    """``ses`` or ``sesv2``."""
    operation: str
    arguments: dict[str, Any]


SENDER = "news@example.com"
MANY = [f"r{number}@example.com" for number in range(51)]
TEXT = {"Subject": {"Data": "Hello"}, "Body": {"Text": {"Data": "Hello."}}}
HTML = {"Subject": {"Data": "Hello"}, "Body": {"Html": {"Data": "<p>Hello.</p>"}}}
RAW = b"From: news@example.com\r\nTo: ann@example.com\r\nSubject: Hello\r\n\r\nHello.\r\n"
TEMPLATE = {"TemplateName": "welcome", "SubjectPart": "Hello {{name}}", "TextPart": "Dear {{name}}."}
DATA = json.dumps({"name": "Ann"})


def _v1(name: str, operation: str, **arguments: Any) -> Case:
    return Case(f"v1 {name}", "ses", operation, arguments)


def _v2(name: str, content: dict[str, Any], *to: str, sender: str | None = SENDER, **arguments: Any) -> Case:
    call = {"Destination": {"ToAddresses": list(to)}, "Content": content, **arguments}
    return Case(f"v2 {name}", "sesv2", "send_email", call if sender is None else {"FromEmailAddress": sender, **call})


def _sent(name: str, *to: str, sender: str = SENDER, message: dict[str, Any] | None = None, **arguments: Any) -> Case:
    destination = {"ToAddresses": list(to)}
    return _v1(name, "send_email", Source=sender, Destination=destination, Message=message or TEXT, **arguments)


def _raw(name: str, data: bytes = RAW, **arguments: Any) -> Case:
    return _v1(name, "send_raw_email", RawMessage={"Data": data}, **arguments)


def _templated(name: str, template: str = "welcome", sender: str = SENDER, to: str = "ann@example.com") -> Case:
    destination = {"ToAddresses": [to]}
    return _v1(
        name, "send_templated_email", Source=sender, Destination=destination, Template=template, TemplateData=DATA
    )


def _bulk(name: str, template: str = "welcome", sender: str = SENDER, entries: int = 2) -> Case:
    destinations = [
        {"Destination": {"ToAddresses": [f"r{number}@example.com"]}, "ReplacementTemplateData": DATA}
        for number in range(entries)
    ]
    return _v1(
        name,
        "send_bulk_templated_email",
        Source=sender,
        Template=template,
        DefaultTemplateData=DATA,
        Destinations=destinations,
    )


NO_ANSWER = "no answer of SES's"

CASES = [
    _v1("nothing is verified at first", "list_identities"),
    _v1("the quota of a new account", "get_send_quota"),
    _v1("the statistics of a new account", "get_send_statistics"),
    _sent("nobody may send before that", "ann@example.com"),
    _v1("an address is verified", "verify_email_identity", EmailAddress=SENDER),
    _v1("an address is verified again", "verify_email_identity", EmailAddress=SENDER),
    _v1("an address is verified the old way", "verify_email_address", EmailAddress="old@example.com"),
    _v1("a domain is verified", "verify_domain_identity", Domain="Verified.example"),
    _v1("all identities", "list_identities"),
    _v1("the addresses among the identities", "list_identities", IdentityType="EmailAddress"),
    _v1("the domains among the identities", "list_identities", IdentityType="Domain"),
    _v1("a type of identity that is none", "list_identities", IdentityType="Person"),
    _v1("the verified addresses", "list_verified_email_addresses"),
    _sent("text", "ann@example.com"),
    _sent("HTML", "ann@example.com", message=HTML),
    _sent("from a name", "ann@example.com", sender=f"News <{SENDER}>"),
    _sent("from an address of a verified domain", "ann@example.com", sender="any@verified.example"),
    _sent("to a name", "Ann <ann@example.com>"),
    _v1(
        "to, cc and bcc",
        "send_email",
        Source=SENDER,
        Destination={
            "ToAddresses": ["ann@example.com"],
            "CcAddresses": ["bob@example.com"],
            "BccAddresses": ["cy@example.com"],
        },
        Message=TEXT,
    ),
    _sent("with tags and reply-to", "ann@example.com", Tags=[{"Name": "n", "Value": "v"}], ReplyToAddresses=[SENDER]),
    _sent("from an address that is not verified", "ann@example.com", sender="who@else.example"),
    _sent("to what is no address", "ann"),
    _sent("to an address with a space", "an n@example.com"),
    _sent("to an address with no domain", "ann@"),
    _sent("to one with a space in the domain", "ann@exam ple.com"),
    _sent("to two in one entry", "ann@example.com, bob@example.com"),
    _sent("to nobody"),
    _sent("to fifty", *MANY[:50]),
    _sent("to fifty-one", *MANY),
    _sent("with a configuration set that is not there", "ann@example.com", ConfigurationSetName="none"),
    _raw("raw, with an envelope", Source=SENDER, Destinations=["bob@example.com"]),
    _raw("raw, by its headers"),
    _raw("raw, without a sender", RAW.partition(b"\r\n")[2]),
    _raw("raw, from an address that is not verified", RAW.replace(b"news@", b"who@")),
    _raw("raw, with a source that is not verified", Source="who@else.example"),
    _raw("raw, to what is no address", Source=SENDER, Destinations=["bob"]),
    _raw("raw, to fifty-one", Source=SENDER, Destinations=MANY),
    _v1("a template is made", "create_template", Template=TEMPLATE),
    _templated("from a template"),
    _templated("from a template that is not there", template="none"),
    _templated("from a template, not verified", sender="who@else.example"),
    _templated("from a template, to what is no address", to="ann"),
    _bulk("in bulk"),
    _bulk("in bulk, from a template that is not there", template="none"),
    _bulk("in bulk, not verified", sender="who@else.example"),
    _bulk("in bulk, to fifty-one", entries=51),
    _v2("text", {"Simple": TEXT}, "ann@example.com"),
    _v2("HTML", {"Simple": HTML}, "ann@example.com"),
    _v2("from a name", {"Simple": TEXT}, "ann@example.com", sender=f"News <{SENDER}>"),
    _v2("raw, with an envelope", {"Raw": {"Data": RAW}}, "bob@example.com"),
    _v2("raw, by its headers", {"Raw": {"Data": RAW}}, sender=None),
    _v2("from an address that is not verified", {"Simple": TEXT}, "ann@example.com", sender="who@else.example"),
    _v2("raw, not verified", {"Raw": {"Data": RAW}}, "ann@example.com", sender="who@else.example"),
    _v2("to what is no address", {"Simple": TEXT}, "ann"),
    _v2("to fifty-one", {"Simple": TEXT}, *MANY),
    _v2("with a configuration set that is not there", {"Simple": TEXT}, "ann@example.com", ConfigurationSetName="none"),
    _v2("from a template", {"Template": {"TemplateName": "welcome", "TemplateData": DATA}}, "ann@example.com"),
    _v1("the quota of an account that has sent", "get_send_quota"),
    _v1("the statistics of an account that has sent", "get_send_statistics"),
    Case("v2 the account", "sesv2", "get_account", {}),
    Case(
        "v2 in bulk",
        "sesv2",
        "send_bulk_email",
        {
            "FromEmailAddress": SENDER,
            "DefaultContent": {"Template": {"TemplateName": "welcome", "TemplateData": DATA}},
            "BulkEmailEntries": [{"Destination": {"ToAddresses": ["ann@example.com"]}}],
        },
    ),
]


def answer(client: Any, case: Case) -> Answer:
    try:
        parsed = getattr(client, case.operation)(**case.arguments)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        code, text = (error.response["Error"].get(name, "") for name in ("Code", "Message"))
        # A page of moto's web server, which boto3 cannot read.
        return status, NO_ANSWER if code == str(status) else f"{code}: {text}"
    return parsed.pop("ResponseMetadata")["HTTPStatusCode"], _shape(parsed)


def _shape(value: Any, name: str = "") -> Any:
    if name in {"MessageId", "VerificationToken"}:
        return f"<{name}>"
    if isinstance(value, dict):
        return {key: _shape(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_shape(each) for each in value]
    return "<time>" if isinstance(value, datetime) else value
