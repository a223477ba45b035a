"""Good calls of every way into the simulator, and strategies that spoil them."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.support.strategies import JSON, edited, mostly, spoilt

MIME = (
    b'From: "Doe, Ann" <ann@example.com>\r\nTo: Bob <bob@example.com>, c@example.com\r\n'
    b"Cc: =?utf-8?q?J=C3=BC?= <j@x.co>\r\n"
    b"Subject: =?utf-8?b?R3LDvMOfZQ==?= folded\r\n over lines\r\nX-SES-MESSAGE-TAGS: a=b, message-id=m1\r\n"
    b"X-SES-CONFIGURATION-SET: main\r\nDate: Mon, 02 Jan 2006 15:04:05 +0000\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="outer"\r\n\r\npreamble\r\n--outer\r\n'
    b'Content-Type: multipart/alternative; boundary="inner"\r\n\r\n--inner\r\n'
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\nH=C3=A4llo=\r\n\r\n--inner\r\n"
    b'Content-Type: text/html; charset="iso-8859-1"\r\n\r\n'
    b'<a href="http://x/">x</a><img src="cid:l@x">\r\n--inner--\r\n'
    b"--outer\r\nContent-Type: image/png; name*=utf-8''%e2%82%ac.png\r\nContent-ID: <l@x>\r\n"
    b'Content-Disposition: attachment; filename="=?utf-8?q?=E2=82=AC?=.png"\r\n'
    b"Content-Transfer-Encoding: base64\r\n\r\n"
    b"iVBORw0KGgo=\r\n--outer\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nx\r\n--outer--\r\n"
)
SIMPLE: dict[str, Any] = {
    "FromEmailAddress": "News <news@example.com>",
    "Destination": {"ToAddresses": ["ann@example.com"], "CcAddresses": [], "BccAddresses": ["b@example.com"]},
    "ReplyToAddresses": ["help@example.com"],
    "Content": {
        "Simple": {
            "Subject": {"Data": "Grüße", "Charset": "UTF-8"},
            "Body": {"Text": {"Data": "Hello"}, "Html": {"Data": "<p>Hello</p>"}},
            "Headers": [{"Name": "X-A", "Value": "b"}],
            "Attachments": [{"FileName": "a.png", "RawContent": "iVBORw0KGgo=", "ContentType": "image/png"}],
        }
    },
    "EmailTags": [{"Name": "message-id", "Value": "m1"}],
    "ConfigurationSetName": "main",
    "ListManagementOptions": {"ContactListName": "c"},
}
RAW: dict[str, Any] = {"Content": {"Raw": {"Data": base64.b64encode(MIME).decode()}}}
INLINE: dict[str, Any] = {
    **SIMPLE,
    "Content": {
        "Template": {
            "TemplateContent": {"Subject": "{{a}}", "Text": "{{#each b}}{{this}}{{/each}}{{#if a}}x{{else}}y{{/if}}"},
            "TemplateData": '{"a": "x", "b": [1, 2]}',
        }
    },
}
BULK: dict[str, Any] = {
    "FromEmailAddress": "news@example.com",
    "DefaultContent": {"Template": {"TemplateName": "t", "TemplateData": "{}"}},
    "BulkEmailEntries": [
        {
            "Destination": {"ToAddresses": ["ann@example.com"]},
            "ReplacementEmailContent": {"ReplacementTemplate": {"ReplacementTemplateData": '{"name": "Ann"}'}},
            "ReplacementTags": [{"Name": "a", "Value": "b"}],
        }
    ],
}
TEMPLATE: dict[str, Any] = {"TemplateName": "t", "TemplateContent": {"Subject": "Hi {{name}}", "Text": "{{name}}"}}
V2: list[tuple[str, str, dict[str, Any] | None]] = [
    ("POST", "/v2/email/outbound-emails", SIMPLE),
    ("POST", "/v2/email/outbound-emails", RAW),
    ("POST", "/v2/email/outbound-emails", INLINE),
    ("POST", "/v2/email/outbound-bulk-emails", BULK),
    ("GET", "/v2/email/account", None),
    ("PUT", "/v2/email/suppression/addresses", {"EmailAddress": "a@example.com", "Reason": "BOUNCE"}),
    ("GET", "/v2/email/suppression/addresses?Reason=BOUNCE&PageSize=2&StartDate=2026-01-01T00:00:00Z", None),
    ("DELETE", "/v2/email/suppression/addresses/a%2Bb%40example.com", None),
    ("POST", "/v2/email/templates", TEMPLATE),
    ("PUT", "/v2/email/templates/t", {"TemplateContent": TEMPLATE["TemplateContent"]}),
    ("POST", "/v2/email/templates/t/render", {"TemplateData": '{"name": "Ann"}'}),
    ("POST", "/v2/email/identities", {"EmailIdentity": "example.org"}),
    ("POST", "/v2/email/list-identities", {"PageSize": 3, "NextToken": "eA=="}),
    ("POST", "/v2/email/configuration-sets", {"ConfigurationSetName": "c", "SendingOptions": {"SendingEnabled": True}}),
]
V1: list[dict[str, str]] = [
    {
        "Action": "SendEmail",
        "Source": "a@example.com",
        "Destination.ToAddresses.member.1": "b@example.com",
        "Message.Subject.Data": "Hi",
        "Message.Body.Text.Data": "Hello",
        "Tags.member.1.Name": "a",
        "Tags.member.1.Value": "b",
    },
    {"Action": "SendRawEmail", "RawMessage.Data": base64.b64encode(MIME).decode(), "Destinations.member.1": "x@y.co"},
    {"Action": "SendTemplatedEmail", "Source": "a@x.co", "Template": "t", "TemplateData": "{}"},
    {"Action": "GetSendQuota"},
    {"Action": "GetSendStatistics"},
    {"Action": "VerifyEmailIdentity", "EmailAddress": "a@example.com"},
    {"Action": "ListIdentities", "MaxItems": "3", "NextToken": "x"},
]
_SESSIONS = [
    [b"EHLO me", b"MAIL FROM:<a@example.com>", b"RCPT TO:<b@example.com>", b"DATA"],
    [b"HELO me", b"MAIL FROM:<a@example.com> SIZE=100 BODY=8BITMIME", b"RCPT TO:<b@example.com>", b"RSET", b"DATA"],
    [b"EHLO me", b"AUTH LOGIN", b"QUtJRA==", b"cGFzc3dvcmQ=", b"NOOP", b"VRFY x", b"EXPN x", b"HELP"],
    [b"EHLO me", b"AUTH PLAIN AGEAYg==", b"AUTH PLAIN", b"*", b"MAIL FROM:<>", b"RCPT TO:<b@example.com>", b"DATA"],
    [b"EHLO me", b"MAIL FROM:<a@x.co>", *[b"RCPT TO:<b%d@example.com>" % number for number in range(60)], b"DATA"],
]
_SQS: dict[str, Any] = {
    "QueueUrl": "http://localhost/123456789012/events",
    "QueueName": "events",
    "MaxNumberOfMessages": 3,
    "VisibilityTimeout": 0,
    "WaitTimeSeconds": 0,
    "AttributeNames": ["All"],
    "Attributes": {"VisibilityTimeout": "3"},
    "ReceiptHandle": "x:1:2",
    "MessageBody": "x",
    "Entries": [{"Id": "a", "ReceiptHandle": "x:1:2", "VisibilityTimeout": 3}],
}
# fmt: off
_SQS_OPERATIONS = [
    "CreateQueue", "GetQueueUrl", "ListQueues", "GetQueueAttributes", "SetQueueAttributes", "PurgeQueue", "SendMessage",
    "ReceiveMessage", "DeleteMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch", "TagQueue", "",
]
# fmt: on
_CONTROL: list[tuple[str, str, Any]] = [
    ("GET", "/", None),
    ("GET", "/_sim/ui/app.js", None),
    ("GET", "/_sim/messages?limit=3&fields=subject,text,html&recipient=a", None),
    ("GET", "/_sim/rows?after=1&limit=3", None),
    ("GET", "/_sim/stats?slots=1&since=1", None),
    ("GET", "/_sim/inbox?search=ann&bodies=1&before=9&limit=3", None),
    ("GET", "/_sim/events?type=Bounce&after=3&limit=5", None),
    ("GET", "/_sim/events/newest?limit=5", None),
    ("GET", "/_sim/duplicates?limit=5", None),
    ("GET", "/_sim/resends", None),
    ("GET", "/_sim/sns?Action=ConfirmSubscription&TopicArn=x&Token=y", None),
    ("PUT", "/_sim/outcomes", {"bounce": 0.1, "delivery_after": "1ms"}),
    ("POST", "/_sim/destinations", {"kind": "queue", "target": "events", "events": ["Bounce"], "raw": True}),
    ("PUT", "/_sim/account?region=us-west-1", {"rate": 5, "quota": 9, "verified": ["x"], "used": 3}),
    ("POST", "/_sim/faults", {"kind": "latency", "latency": "1us", "probability": 0.1, "count": 3}),
    ("PUT", "/_sim/clock", {"frozen": None, "advance": 1}),
]
# fmt: off
_TOKENS = [
    b"\0", b"\r", b"\n", b"\r\n\r\n", b"\n.\n", b"\r\n.\r\n", b"\xff\xfe", b"\x80", b"\xed\xa0\x80", b" ", b"\t",
    b"--outer", b"=?utf-8?q?", b"?=", b"%", b"%00", b"{{", b"}}", b"<", b">", b'"', b"\\", b";", b":", b"@", b",", b"'",
    b"&", b"\x1b[", b"-1", b"0", b"99999999999999999999", b"1e999", b"NaN", b"null", b"[[[[", b"{{{{", b"charset=utf-7",
    b"boundary=", b"x" * 2000, b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Content-Type: multipart/mixed\r\n", b"Expect: 100-continue\r\n",
]
# fmt: on
BYTES = st.one_of(st.sampled_from(_TOKENS), st.binary(min_size=1, max_size=1))
TEXTS = BYTES.map(lambda token: token.decode("latin-1"))
_OTHERS = st.one_of(
    JSON, st.sampled_from(["{{", "{{#each x}}", "{{/if}}", "{{{a}}}", '{"a":', "{{a.b.c.d}}", "{{> p}}"])
)
_NAMES = st.sampled_from(["", "X", "Raw", "Simple", "Template", "\ud800"])

Call = tuple[str, str, bytes]
"""Method, target and body."""


def _bodies(call: Any) -> SearchStrategy[bytes]:
    if call is None:
        return st.just(b"")
    made = mostly(spoilt(call, _OTHERS, _NAMES), st.just(call), one_in=5).map(lambda each: json.dumps(each).encode())
    return mostly(made, edited(json.dumps(call).encode(), BYTES), one_in=4)


def _call(method: str, target: str, call: Any) -> SearchStrategy[Call]:
    methods = mostly(st.just(method), st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"]), one_in=20)
    return st.tuples(methods, mostly(st.just(target), edited(target, TEXTS, 2), one_in=5), _bodies(call))


def _v1_call(call: dict[str, str]) -> SearchStrategy[Call]:
    fields = st.one_of(
        [
            st.tuples(st.just(name), mostly(st.just(name), edited(name, TEXTS, 2), one_in=3), edited(value, TEXTS, 2))
            for name, value in call.items()
        ]
    )

    def encoded(changed: list[tuple[str, str, str]]) -> bytes:
        lost = {old for old, new, _ in changed if new != old}
        made = {name: value for name, value in call.items() if name not in lost}
        return urlencode(
            made | {new: value for _, new, value in changed}, encoding="latin-1", errors="replace"
        ).encode()

    bodies = mostly(st.lists(fields, max_size=3).map(encoded), edited(encoded([]), BYTES), one_in=4)
    return st.tuples(st.just("POST"), st.just("/"), bodies)


v2_calls = st.one_of([_call(*call) for call in V2])
v1_calls = st.one_of([_v1_call(call) for call in V1])
messages = edited(MIME, BYTES, 10)
authorizations = edited(b"AWS4-HMAC-SHA256 Credential=A/20260101/eu-west-1/ses/aws4_request, x", BYTES).map(
    lambda header: {b"authorization": header}
)


def _head(call: Call, headers: dict[str, str]) -> bytes:
    method, target, body = call
    lines = [f"{method} {quote(target, safe='/%?&=:@+,;~!*()$-._')} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode("latin-1", "replace") + body


def _requests(calls: SearchStrategy[Call], headers: SearchStrategy[dict[str, str]]) -> SearchStrategy[bytes]:
    upgrade = st.just({"Connection": "Upgrade", "Upgrade": "h2c"})
    made = st.builds(lambda *of: _head(of[0], of[1] | of[2]), calls, headers, mostly(st.just({}), upgrade, one_in=20))
    return st.one_of(made, made.flatmap(lambda request: edited(request, BYTES)))


def _sessions(lines: list[bytes]) -> SearchStrategy[bytes]:
    some = [mostly(st.just(line), edited(line, BYTES, 3), one_in=3) for line in lines]
    whole = st.tuples(*some, mostly(edited(MIME, BYTES), st.just(b""), one_in=3))
    return whole.map(lambda made: b"\r\n".join([*made, b".", b"QUIT", b""]))


_json = st.just({"Content-Type": "application/json"})
_form = st.just({"Content-Type": "application/x-www-form-urlencoded"})
_operations = st.sampled_from(_SQS_OPERATIONS).map(lambda name: {"X-Amz-Target": f"AmazonSQS.{name}"})
requests = st.one_of(
    _requests(v2_calls, _json),
    _requests(v1_calls, _form),
    _requests(_call("POST", "/", _SQS), _operations),
    _requests(st.one_of([_call(*call) for call in _CONTROL]), _json),
)
"""Whole requests over HTTP: to the APIs, to SQS and to the control API."""
sessions = st.one_of([_sessions(lines) for lines in _SESSIONS])
"""Whole SMTP sessions, without TLS so that every byte may be spoilt."""
