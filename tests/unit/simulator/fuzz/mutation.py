"""Good input, and a hundred ways to spoil it. All from one seeded ``Random``: a finding can be had again."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

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
_TOKENS = [
    *(
        b"\0",
        b"\r",
        b"\n",
        b"\r\n\r\n",
        b"\n.\n",
        b"\r\n.\r\n",
        b"\xff\xfe",
        b"\x80",
        b"\xed\xa0\x80",
        b" ",
        b"\t",
        b"--outer",
    ),
    *(
        b"=?utf-8?q?",
        b"?=",
        b"%",
        b"%00",
        b"{{",
        b"}}",
        b"<",
        b">",
        b'"',
        b"\\",
        b";",
        b":",
        b"@",
        b",",
        b"'",
        b"&",
        b"\x1b[",
    ),
    *(
        b"-1",
        b"0",
        b"99999999999999999999",
        b"1e999",
        b"NaN",
        b"null",
        b"[[[[",
        b"{{{{",
        b"charset=utf-7",
        b"boundary=",
        b"x" * 2000,
    ),
    *(
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Type: multipart/mixed\r\n",
        b"Expect: 100-continue\r\n",
    ),
]
_VALUES: list[Callable[[Random], Any]] = [
    lambda _: None,
    lambda _: [],
    lambda _: {},
    lambda _: "",
    lambda _: "\ud800",
    lambda _: "\0\r\n",
    lambda _: True,
    lambda random: random.choice([0, -1, 1e308, 2**70, 0.1, -0.0]),
    lambda random: "a@" * random.randrange(200),
    lambda random: ["x@example.com"] * random.randrange(70),
    lambda random: {"Data": random.choice([None, "x", 1])},
    lambda random: "".join(chr(random.randrange(0x20, 0x3000)) for _ in range(random.randrange(40))),
    lambda _: json.loads("[" * 60 + "]" * 60),
    lambda random: random.choice(["{{", "{{#each x}}", "{{/if}}", "{{{a}}}", '{"a":', "{{a.b.c.d}}", "{{> p}}"]),
]


def spoilt(random: Random, data: bytes, most: int = 6) -> bytes:
    """``data`` with up to ``most`` bytes, pieces or tokens changed, lost, doubled or put in."""
    spoiling = bytearray(data)
    for _ in range(random.randint(1, most)):
        at = random.randrange(len(spoiling) + 1)
        to = min(len(spoiling), at + random.choice([1, 2, 5, 20, 200]))
        act = random.randrange(6)
        if act == 0 and spoiling:
            spoiling[at % len(spoiling)] = random.randrange(256)
        elif act == 1:
            del spoiling[at:to]
        elif act == 2:
            spoiling[at:at] = spoiling[at:to] * random.choice([1, 2, 50])
        elif act == 3:
            spoiling[at:at] = random.choice(_TOKENS)
        elif act == 4:
            spoiling[at:to] = random.choice(_TOKENS)
        elif random.random() < 0.2:
            del spoiling[at:]
    return bytes(spoiling[:200_000])


def spoilt_value(random: Random, value: Any) -> Any:
    """A copy of a JSON value with something in it replaced, lost or added."""
    if random.random() < 0.25 or not isinstance(value, dict | list) or not value:
        return random.choice(_VALUES)(random)
    if isinstance(value, list):
        index = random.randrange(len(value))
        return [spoilt_value(random, each) if place == index else each for place, each in enumerate(value)]
    chosen = random.choice(list(value))
    if random.random() < 0.1:
        return {name: each for name, each in value.items() if name != chosen}
    if random.random() < 0.05:
        return value | {random.choice(["", "X", "Raw", "Simple", "Template", "\ud800"]): spoilt_value(random, None)}
    return {name: spoilt_value(random, each) if name == chosen else each for name, each in value.items()}


def v2_call(random: Random) -> tuple[str, str, bytes]:
    """Method, target and body."""
    method, target, call = random.choice(V2)
    if random.random() < 0.2:
        target = spoilt(random, target.encode(), 2).decode("latin-1")
    if random.random() < 0.05:
        method = random.choice(["GET", "POST", "PUT", "DELETE", "PATCH"])
    body = b"" if call is None else json.dumps(spoilt_value(random, call) if random.random() < 0.8 else call).encode()
    return method, target, spoilt(random, body) if random.random() < 0.25 else body


def v1_call(random: Random) -> tuple[str, str, bytes]:
    call = dict(random.choice(V1))
    for _ in range(random.randint(0, 3)):
        name = random.choice(list(call))
        value = call.pop(name) if random.random() < 0.5 else call[name]
        call[spoilt(random, name.encode(), 2).decode("latin-1")] = value
        if random.random() < 0.7:
            call[name] = spoilt(random, value.encode(), 2).decode("latin-1")
    body = urlencode(call, encoding="latin-1", errors="replace").encode()
    return "POST", "/", spoilt(random, body) if random.random() < 0.25 else body


def head(method: str, target: str, body: bytes, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {quote(target, safe='/%?&=:@+,;~!*()$-._')} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode("latin-1", "replace") + body
